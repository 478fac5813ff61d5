# SPDX-License-Identifier: Apache-2.0
# One place for the language level, warnings, sanitizers and ccache.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Assertions stay on in release builds: they guard invariants, and none sits on a hot path.
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
set(CMAKE_C_FLAGS_RELEASE "-O2")

find_program(FULCRUM_CCACHE ccache)
if(FULCRUM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${FULCRUM_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${FULCRUM_CCACHE})
endif()

add_library(fulcrum_options INTERFACE)
target_include_directories(fulcrum_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(fulcrum_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
  -Wno-missing-field-initializers)
if(FULCRUM_WERROR)
  target_compile_options(fulcrum_options INTERFACE -Werror)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(fulcrum_options INTERFACE -Wthread-safety)
else()
  # GCC 12 at -O2 reports members of std::variant and std::optional that are provably set.
  target_compile_options(fulcrum_options INTERFACE -Wno-maybe-uninitialized)
endif()
if(FULCRUM_SANITIZE)
  # A finding ends the program: a test that only prints one has not failed.
  add_compile_options(-fsanitize=${FULCRUM_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${FULCRUM_SANITIZE})
endif()

# The program finds libduckdb.so beside itself, wherever it is copied to.
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_INSTALL_RPATH "$ORIGIN:$ORIGIN/../lib")
