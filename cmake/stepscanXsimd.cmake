# Evens out what the packages of xsimd differ in, after find_package(xsimd): the target is `xsimd`, and it can be linked.

if(TARGET xsimd::xsimd AND NOT TARGET xsimd)
  add_library(xsimd INTERFACE IMPORTED)
  target_link_libraries(xsimd INTERFACE xsimd::xsimd)
endif()

# Debian's package links to xtl without looking for it; the headers need it only where XSIMD_ENABLE_XTL_COMPLEX is set.
if(TARGET xsimd AND NOT TARGET xtl)
  get_target_property(stepscan_xsimd_libraries xsimd INTERFACE_LINK_LIBRARIES)
  if("xtl" IN_LIST stepscan_xsimd_libraries)
    list(REMOVE_ITEM stepscan_xsimd_libraries xtl)
    set_property(TARGET xsimd PROPERTY INTERFACE_LINK_LIBRARIES ${stepscan_xsimd_libraries})
  endif()
endif()
