include_guard()
include(FetchContent)

# stepscan_dependency(PACKAGE MINIMUM TARGET URL TAG INCLUDE) makes the header-only dependency TARGET available: the
# installed package if there is one, else its sources at TAG, of which the folder INCLUDE is all that is used.
function(stepscan_dependency package minimum target url tag include)
  if(TARGET ${target})
    return()
  endif()
  if(NOT STEPSCAN_FETCH STREQUAL "ALWAYS")
    find_package(${package} QUIET)
    if(${package}_FOUND AND ${package}_VERSION VERSION_LESS ${minimum})
      message(FATAL_ERROR "stepscan: expected ${package} ${minimum} or later, found ${${package}_VERSION} in "
                          "${${package}_DIR}")
    endif()
    include(${PROJECT_SOURCE_DIR}/cmake/stepscanXsimd.cmake)
    if(TARGET ${target})
      return()
    endif()
    if(STEPSCAN_FETCH STREQUAL "NEVER")
      message(FATAL_ERROR "stepscan: expected the package ${package} (target ${target}), found none. Install it, "
                          "point CMAKE_PREFIX_PATH at it, or set STEPSCAN_FETCH=MISSING to download ${tag} of ${url}.")
    endif()
  endif()
  message(STATUS "stepscan: fetching ${package} ${tag} from ${url}")
  # The sources' own build is not entered: it would bring targets and options that nothing here needs.
  string(TOLOWER stepscan_${package} content)
  FetchContent_Declare(${content} GIT_REPOSITORY ${url} GIT_TAG ${tag} GIT_SHALLOW ON SOURCE_SUBDIR no-build)
  FetchContent_MakeAvailable(${content})
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE ${${content}_SOURCE_DIR}/${include})
endfunction()

stepscan_dependency(Eigen3 3.4 Eigen3::Eigen https://gitlab.com/libeigen/eigen.git 3.4.0 .)
stepscan_dependency(xsimd 8.1 xsimd https://github.com/xtensor-stack/xsimd.git 8.1.0 include)

# Layers alone need no JSON: a project that only adds stepscan gets stepscan::json when the package is there.
if(STEPSCAN_TESTS OR STEPSCAN_BENCH OR STEPSCAN_EXAMPLES)
  stepscan_dependency(nlohmann_json 3.9 nlohmann_json::nlohmann_json https://github.com/nlohmann/json.git v3.11.2
                      include)
else()
  find_package(nlohmann_json QUIET)
endif()

if(STEPSCAN_OPENMP)
  find_package(OpenMP QUIET COMPONENTS CXX)
  if(NOT TARGET OpenMP::OpenMP_CXX)
    message(STATUS "stepscan: OpenMP not found, parallel loops run on one thread")
  endif()
endif()
