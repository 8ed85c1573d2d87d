#pragma once

/// Training of all layers. A program that only infers leaves this header out and never compiles a backward pass.
#include <stepscan/layers/activation_backward.hpp>
#include <stepscan/layers/affine_backward.hpp>
#include <stepscan/layers/causal_conv1d_backward.hpp>
#include <stepscan/layers/conv1d_backward.hpp>
#include <stepscan/layers/decay_backward.hpp>
#include <stepscan/layers/dss_backward.hpp>
#include <stepscan/layers/gated_backward.hpp>
#include <stepscan/layers/gated_linear_attention_layer_backward.hpp>
#include <stepscan/layers/linear_backward.hpp>
#include <stepscan/layers/lru_backward.hpp>
#include <stepscan/layers/lssl_backward.hpp>
#include <stepscan/layers/mamba2_ssd_backward.hpp>
#include <stepscan/layers/mamba_backward.hpp>
#include <stepscan/layers/norm_backward.hpp>
#include <stepscan/layers/projected_backward.hpp>
#include <stepscan/layers/s4d_backward.hpp>
#include <stepscan/layers/s5_backward.hpp>
#include <stepscan/layers/s5_initialize.hpp>
#include <stepscan/layers/selective_scan_backward.hpp>
#include <stepscan/layers/swiglu_backward.hpp>
#include <stepscan/ops/delta_rule_backward.hpp>
