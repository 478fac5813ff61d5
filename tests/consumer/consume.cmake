# SPDX-License-Identifier: Apache-2.0
# Builds a program against the SDK as a user would, and runs it.
#   cmake -DWAY=package|pkg-config|subdirectory -DREPOSITORY=… -DBUILD=… -DWORK=… -P consume.cmake
file(REMOVE_RECURSE ${WORK}/${WAY})
file(MAKE_DIRECTORY ${WORK}/${WAY}/state)
set(prefix ${WORK}/${WAY}/prefix)
set(out ${WORK}/${WAY}/build)

function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE text ERROR_VARIABLE text RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGN} gives ${code}:\n${text}")
  endif()
  set(said "${text}" PARENT_SCOPE)
endfunction()

if(NOT WAY STREQUAL "subdirectory")
  run(${CMAKE_COMMAND} --install ${BUILD} --component sdk --prefix ${prefix})
  # Nothing may lead back to where it was built.
  file(GLOB_RECURSE texts ${prefix}/*.cmake ${prefix}/*.pc ${prefix}/*.h)
  foreach(text ${texts})
    file(READ ${text} content)
    if(content MATCHES "${REPOSITORY}" OR content MATCHES "${prefix}")
      message(FATAL_ERROR "${text} names the directory it was built in or installed to.")
    endif()
  endforeach()
  # It works from wherever it is moved to.
  file(RENAME ${prefix} ${prefix}-moved)
  set(prefix ${prefix}-moved)
endif()

if(WAY STREQUAL "pkg-config")
  file(MAKE_DIRECTORY ${out})
  set(ENV{PKG_CONFIG_PATH} ${prefix}/lib/pkgconfig)
  foreach(one "shop|fulcrum-client|${CXX}|examples/cpp/main.cc"
      "evaluator|fulcrum|${CC}|tests/consumer/evaluator.c")
    string(REPLACE "|" ";" one "${one}")
    list(GET one 0 name)
    list(GET one 1 package)
    list(GET one 2 compiler)
    list(GET one 3 source)
    run(pkg-config --cflags --libs ${package})
    separate_arguments(flags UNIX_COMMAND "${said}")
    run(${compiler} ${REPOSITORY}/${source} ${flags} -o ${out}/${name})
  endforeach()
  set(ENV{LD_LIBRARY_PATH} ${prefix}/lib)
else()
  # Without optimisation, because a subdirectory compiles all of the SDK.
  run(${CMAKE_COMMAND} -G Ninja -S ${REPOSITORY}/tests/consumer/${WAY} -B ${out}
    -DREPOSITORY=${REPOSITORY} -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_CXX_COMPILER=${CXX}
    -DCMAKE_C_COMPILER=${CC} -DCMAKE_BUILD_TYPE=Debug)
  run(${CMAKE_COMMAND} --build ${out} -j1 --target shop evaluator)
endif()

# Offline, on a snapshot that is there, with nobody at the other end.
set(sample ${REPOSITORY}/tests/vectors/sample.snapshot)
run(${out}/evaluator ${sample} simple u1)
if(NOT said MATCHES "reason assigned")
  message(FATAL_ERROR "the C program said: ${said}")
endif()
file(COPY_FILE ${sample} ${WORK}/${WAY}/state/snapshot.flcm)
run(${out}/shop http://127.0.0.1:9 ${WORK}/${WAY}/state simple u1)
if(NOT said MATCHES "reason assigned" OR NOT said MATCHES "kept for later")
  message(FATAL_ERROR "the C++ program said: ${said}")
endif()
message(STATUS "${WAY}: ${said}")
file(REMOVE_RECURSE ${WORK}/${WAY})
