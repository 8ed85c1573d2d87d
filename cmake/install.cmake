# Headers, CMake package and pkg-config file. Nothing is compiled, so all of it goes to include/ and share/.

include(CMakePackageConfigHelpers)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/stepscan DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/stepscan)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/stepscan)
install(TARGETS stepscan stepscan_json EXPORT stepscanTargets)
install(EXPORT stepscanTargets NAMESPACE stepscan:: DESTINATION ${package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/stepscanConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/stepscanConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/stepscanConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/stepscanConfig.cmake ${PROJECT_BINARY_DIR}/stepscanConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/stepscanXsimd.cmake
        DESTINATION ${package_dir})

configure_file(${PROJECT_SOURCE_DIR}/cmake/stepscan.pc.in ${PROJECT_BINARY_DIR}/stepscan.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/stepscan.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
