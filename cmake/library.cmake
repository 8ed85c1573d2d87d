# stepscan::stepscan, the layers, and stepscan::json, which adds what the headers under io/ that read JSON need.

include(GNUInstallDirs)

add_library(stepscan INTERFACE)
add_library(stepscan::stepscan ALIAS stepscan)
target_compile_features(stepscan INTERFACE cxx_std_20)
target_include_directories(stepscan INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                              $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(stepscan INTERFACE Eigen3::Eigen xsimd)

# An installed package looks for OpenMP where it is used, not where it was made: see stepscanConfig.cmake.in.
if(STEPSCAN_OPENMP AND TARGET OpenMP::OpenMP_CXX)
  target_link_libraries(stepscan INTERFACE $<BUILD_INTERFACE:OpenMP::OpenMP_CXX>)
endif()

add_library(stepscan_json INTERFACE)
add_library(stepscan::json ALIAS stepscan_json)
set_target_properties(stepscan_json PROPERTIES EXPORT_NAME json)
target_link_libraries(stepscan_json INTERFACE stepscan nlohmann_json::nlohmann_json)
