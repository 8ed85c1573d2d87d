#pragma once

/// The one place where the version stands; CMake, pkg-config and the package files read it here.
#define STEPSCAN_VERSION_MAJOR 0
#define STEPSCAN_VERSION_MINOR 1
#define STEPSCAN_VERSION_PATCH 0
