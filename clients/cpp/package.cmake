# What a program outside this tree needs to ask: find_package(luminous-healing) and luminous-healing::client, or
# pkg-config luminous-healing. Installed as the component "development".
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/luminous-healing)
set(staged ${CMAKE_CURRENT_BINARY_DIR}/staged)

# client.h and what it includes. Inside the tree folders are named from its root; outside everything lies below
# luminous_healing/, so that no program's own base/ or protocol/ can be meant.
foreach(header base/clock.h base/expected.h base/strong.h protocol/code.h protocol/json_reader.h protocol/mac.h
               protocol/request.h protocol/response.h clients/cpp/client.h)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${header})
  file(READ ${PROJECT_SOURCE_DIR}/${header} text)
  string(REGEX REPLACE "#include \"(base|protocol)/" "#include \"luminous_healing/\\1/" text "${text}")
  string(REPLACE clients/cpp/client.h client.h header ${header})
  file(CONFIGURE OUTPUT ${staged}/luminous_healing/${header} CONTENT "${text}" @ONLY)
endforeach()
install(DIRECTORY ${staged}/luminous_healing DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)

target_compile_features(luminous-base PUBLIC cxx_std_20)
target_include_directories(luminous-base PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
foreach(library base protocol client)
  set_target_properties(luminous-${library} PROPERTIES EXPORT_NAME ${library})
endforeach()
install(TARGETS luminous-base luminous-protocol luminous-client EXPORT luminous-healing
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT luminous-healing NAMESPACE luminous-healing:: FILE luminous-healing-targets.cmake
        DESTINATION ${package_dir} COMPONENT development)

configure_package_config_file(luminous-healing-config.cmake.in luminous-healing-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(luminous-healing-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/luminous-healing-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/luminous-healing-config-version.cmake
        DESTINATION ${package_dir} COMPONENT development)

# Its prefix is found from where it lies: cmake --install --prefix may move everything.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH to_prefix /${pkgconfig_dir} /)
configure_file(luminous-healing.pc.in luminous-healing.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/luminous-healing.pc DESTINATION ${pkgconfig_dir} COMPONENT development)
