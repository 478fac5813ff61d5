# SPDX-License-Identifier: Apache-2.0
# Group-sequential boundaries at unequal information, one- and two-sided, rpact.
needed <- c("rpact", "jsonlite")
for (p in needed) if (!requireNamespace(p, quietly = TRUE)) {
  message("skipped: the R package ", p, " is not installed")
  quit(status = 77)
}
suppressMessages(library(rpact))
cases <- list()
add <- function(id, method, inputs, expected) {
  cases[[length(cases) + 1]] <<- list(id = id, method = method, inputs = inputs,
    expected = expected, tolerance = list(rel = 2e-5, abs = 1e-8),
    source = "rpact getDesignGroupSequential")
}
spendings <- list(asOF = list("lan_demets_obf", NA_real_, NULL),
                  asP = list("lan_demets_pocock", NA_real_, NULL),
                  asKD = list("kim_demets", 3, "rho"),
                  asHSD = list("hwang_shih_decani", -2, "gamma"))
for (information in list(c(0.2, 0.55, 0.8, 1), c(0.5, 0.9, 1), c(0.1, 0.2, 0.3, 0.4, 1))) {
  for (type in names(spendings)) {
    s <- spendings[[type]]
    d <- getDesignGroupSequential(kMax = length(information), alpha = 0.025, sided = 1,
                                  informationRates = information, typeOfDesign = type,
                                  gammaA = s[[2]])
    inputs <- list(information = information, alpha = 0.05, alpha_per_side = 0.025, sides = 1)
    if (!is.null(s[[3]])) inputs[[s[[3]]]] <- s[[2]]
    add(paste(type, paste(information, collapse = " ")), s[[1]], inputs,
        list(z_one_sided = d$criticalValues, cumulative_alpha_per_side = d$alphaSpent))
  }
  for (sides in 1:2) for (type in c("P", "OF")) {
    d <- getDesignGroupSequential(kMax = length(information), alpha = 0.1 / (3 - sides),
                                  sided = sides, informationRates = information,
                                  typeOfDesign = type)
    add(paste(type, sides, paste(information, collapse = " ")),
        if (type == "P") "pocock" else "obrien_fleming",
        list(K = length(information), information = information, alpha = 0.1 / (3 - sides),
             sides = sides), list(z = d$criticalValues))
  }
}
cat(jsonlite::toJSON(list(
  generator = "generate_sequential.R",
  versions = list(R = as.character(getRversion()),
                  rpact = as.character(packageVersion("rpact"))),
  cases = cases), auto_unbox = TRUE, digits = NA, na = "null"))
