#pragma once

/// The value of a macro as text.
#define STEPSCAN_TEXT_OF(value) #value
#define STEPSCAN_TEXT(value) STEPSCAN_TEXT_OF(value)
