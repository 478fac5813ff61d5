# SPDX-License-Identifier: Apache-2.0
# Every third-party part behind one name, fulcrum_3p_<name>, so that cmake/Layers.cmake can say
# which folder may use which. All come from Debian but DuckDB (script/deps puts it into .deps/).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(fulcrum_third_party name)
  add_library(fulcrum_3p_${name} INTERFACE)
  target_link_libraries(fulcrum_3p_${name} INTERFACE ${ARGN})
endfunction()

# --- What the SDKs need ----------------------------------------------------------------------------
find_package(nlohmann_json REQUIRED)
fulcrum_third_party(json nlohmann_json::nlohmann_json)

pkg_check_modules(httplib REQUIRED IMPORTED_TARGET cpp-httplib)
fulcrum_third_party(httplib PkgConfig::httplib Threads::Threads)

find_path(XXHASH_INCLUDE xxhash.h REQUIRED)
fulcrum_third_party(xxhash)
target_include_directories(fulcrum_3p_xxhash SYSTEM INTERFACE ${XXHASH_INCLUDE})

if(FULCRUM_SDK_ONLY)
  return()
endif()

# --- What the program needs ------------------------------------------------------------------------
find_package(absl REQUIRED)
fulcrum_third_party(absl absl::status absl::statusor absl::strings absl::str_format
  absl::flat_hash_map absl::flat_hash_set absl::node_hash_map absl::btree absl::time absl::span
  absl::core_headers absl::inlined_vector absl::cleanup)

find_package(Eigen3 REQUIRED)
fulcrum_third_party(eigen Eigen3::Eigen)

find_path(BOOST_MATH_INCLUDE boost/math/distributions/normal.hpp REQUIRED)
fulcrum_third_party(boost_math)
target_include_directories(fulcrum_3p_boost_math SYSTEM INTERFACE ${BOOST_MATH_INCLUDE})

find_package(yaml-cpp REQUIRED)
fulcrum_third_party(yaml yaml-cpp)

find_package(CLI11 REQUIRED)
fulcrum_third_party(cli11 CLI11::CLI11)

find_package(simdjson REQUIRED)
fulcrum_third_party(simdjson simdjson::simdjson)

pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)
fulcrum_third_party(sqlite PkgConfig::sqlite3)

find_package(prometheus-cpp REQUIRED)
fulcrum_third_party(prometheus prometheus-cpp::core)

# DuckDB: a system library first, else the pinned one that script/deps fetched and checked.
find_path(DUCKDB_INCLUDE duckdb.h HINTS ${CMAKE_SOURCE_DIR}/.deps/duckdb)
find_library(DUCKDB_LIBRARY duckdb HINTS ${CMAKE_SOURCE_DIR}/.deps/duckdb)
if(NOT DUCKDB_INCLUDE OR NOT DUCKDB_LIBRARY)
  message(FATAL_ERROR "DuckDB was not found: run script/deps, which fetches the pinned library.")
endif()
add_library(fulcrum_duckdb SHARED IMPORTED)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
get_filename_component(DUCKDB_NAME ${DUCKDB_LIBRARY} NAME)
if(DUCKDB_LIBRARY MATCHES "^${CMAKE_SOURCE_DIR}/.deps/")
  # Installed beside the program, found by its relative rpath.
  file(CREATE_LINK ${DUCKDB_LIBRARY} ${CMAKE_BINARY_DIR}/bin/${DUCKDB_NAME} COPY_ON_ERROR)
  set(DUCKDB_LOCATION ${CMAKE_BINARY_DIR}/bin/${DUCKDB_NAME})
  install(FILES ${DUCKDB_LIBRARY} DESTINATION lib)
else()
  set(DUCKDB_LOCATION ${DUCKDB_LIBRARY})
endif()
set_target_properties(fulcrum_duckdb PROPERTIES IMPORTED_LOCATION ${DUCKDB_LOCATION}
  INTERFACE_INCLUDE_DIRECTORIES ${DUCKDB_INCLUDE})
fulcrum_third_party(duckdb fulcrum_duckdb)

if(FULCRUM_TESTS)
  find_package(GTest REQUIRED)
  fulcrum_third_party(gtest GTest::gmock GTest::gtest GTest::gtest_main)
endif()
