#pragma once

/// What nearly every test includes, compiled once for all of them.

#include <stepscan/layers/backward.hpp>
#include <stepscan/stepscan.hpp>

#include "support/catch.hpp"
#include "support/products.hpp"
