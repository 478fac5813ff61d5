# SPDX-License-Identifier: Apache-2.0
# core/ has no clock, randomness, threads, locale, files or exceptions of its own: its objects refer
# to no symbol that would bring one in.
#   cmake -DNM=nm -DLIBRARY=libfulcrum_core.a -P check_symbols.cmake
set(forbidden
  "clock" "gettimeofday" "(^|_)time(_|$)" "chrono" "nanosleep"                     # clock
  "(^|_)s?rand(om|48)?(_r)?$" "getrandom" "random_device" "mersenne"               # randomness
  "pthread" "thread" "mutex" "__cxa_guard" "futex"                                 # threads
  "locale" "ctype" "strtod" "printf" "scanf" "ostream" "istream" "stringstream"    # locale
  "fopen" "^open" "^read$" "^write$" "^stat$" "filesystem" "getenv" "^ioctl$"      # files
  "__cxa_throw" "__cxa_begin_catch" "__gxx_personality" "__cxa_allocate_exception" # exceptions
  "nlohmann" "simdjson" "absl")
execute_process(COMMAND ${NM} --undefined-only ${LIBRARY} OUTPUT_VARIABLE table ERROR_QUIET
  COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[\n] +U [^\n]+" rows "${table}")
list(LENGTH rows count)
if(count LESS 20)
  message(FATAL_ERROR "${NM} listed only ${count} symbols of ${LIBRARY}: nothing was checked.")
endif()
set(found)
foreach(row ${rows})
  string(REGEX REPLACE "^[\n] +U " "" symbol "${row}")
  if(symbol MATCHES "7fulcrum|^__(asan|ubsan|tsan|sanitizer)")
    continue()
  endif()
  foreach(pattern ${forbidden})
    if(symbol MATCHES "${pattern}")
      list(APPEND found ${symbol})
    endif()
  endforeach()
endforeach()
list(REMOVE_DUPLICATES found)
if(found)
  message(FATAL_ERROR "core/ may not use ${found}: it must decide alike everywhere, WebAssembly "
    "included (docs/ARCHITECTURE.md).")
endif()
message(STATUS "${count} references of ${LIBRARY} checked")
