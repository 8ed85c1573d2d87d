# What only stepscan's own tests, benchmarks and examples are compiled with.

set(CMAKE_CXX_EXTENSIONS OFF)

set(STEPSCAN_SANITIZE "" CACHE STRING "Sanitizers of the tests, as in -fsanitize=: address,undefined or thread")
set(STEPSCAN_ARCH "" CACHE STRING "Instruction set of the tests, benchmarks and examples, as in -march=")
set(STEPSCAN_SHARED_DIR "${PROJECT_SOURCE_DIR}/../shared" CACHE PATH "Trained models and recordings for the tests")

if(STEPSCAN_NATIVE AND NOT STEPSCAN_ARCH)
  set(STEPSCAN_ARCH native)
endif()

# stepscan_options: warnings, which are errors, and sanitizers; any instruction set.
add_library(stepscan_options INTERFACE)
target_link_libraries(stepscan_options INTERFACE stepscan::stepscan)
if(MSVC)
  target_compile_options(stepscan_options INTERFACE /W4 /WX /permissive-)
else()
  # GCC finds its own AVX-512 intrinsics uninitialised, and notes how GCC 4.6 passed aligned values.
  target_compile_options(stepscan_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
                                                    $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized -Wno-maybe-uninitialized -Wno-psabi>)
endif()
if(STEPSCAN_SANITIZE)
  # Clang alone objects to views of nothing that are moved along their null pointer, and never read.
  target_compile_options(stepscan_options INTERFACE -fsanitize=${STEPSCAN_SANITIZE} -fno-sanitize-recover=all
                                                    $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=pointer-overflow>
                                                    -fno-omit-frame-pointer -g1)
  target_link_options(stepscan_options INTERFACE -fsanitize=${STEPSCAN_SANITIZE})
endif()

# stepscan_development: the same for the instruction set asked for.
add_library(stepscan_development INTERFACE)
target_link_libraries(stepscan_development INTERFACE stepscan_options)
if(STEPSCAN_ARCH)
  target_compile_options(stepscan_development INTERFACE -march=${STEPSCAN_ARCH})
endif()

# stepscan_program: the same for programs that are run: the main job, benchmarks and examples.
set(STEPSCAN_PROGRAM_OPT "" CACHE STRING "Optimisation of programs, in place of the build type's")
add_library(stepscan_program INTERFACE)
target_link_libraries(stepscan_program INTERFACE stepscan_development)
target_compile_options(stepscan_program INTERFACE ${STEPSCAN_PROGRAM_OPT})

find_program(STEPSCAN_CCACHE ccache)
mark_as_advanced(STEPSCAN_CCACHE)
if(STEPSCAN_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${STEPSCAN_CCACHE})
endif()
