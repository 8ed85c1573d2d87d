# Installs the library, then configures, builds and runs the project in the folder WAY against it.

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${WAY}: ${command}\n${output}")
  endif()
  message(STATUS "${output}")
endfunction()

set(prefix ${WORK_DIR}/${WAY}-prefix)
set(build ${WORK_DIR}/${WAY}-build)
file(REMOVE_RECURSE ${prefix} ${build})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${prefix})
set(ENV{PKG_CONFIG_PATH} ${prefix}/share/pkgconfig:$ENV{PKG_CONFIG_PATH})
run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/tests/package/${WAY} -B ${build} -G ${GENERATOR}
    -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_PREFIX_PATH=${prefix} -D STEPSCAN_SOURCE_DIR=${SOURCE_DIR})
run(${CMAKE_COMMAND} --build ${build} --config Release)
find_program(program program PATHS ${build} ${build}/Release NO_DEFAULT_PATH REQUIRED)
run(${program})
