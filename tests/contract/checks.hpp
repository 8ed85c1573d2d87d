#pragma once

#include <contract/probe.hpp>

/// The checks of the contract, one function per promise.
namespace stepscan::testing {

/// Every form of the layer and of its plan equals Recurrent, at all lengths around the chunk.
template <class S>
void check_forms_agree(Probe<S>& probe);
/// Any split, in any two forms, equals no split.
template <class S>
void check_splits(Probe<S>& probe);
/// A Recurrent scan is repeated step, bit for bit.
template <class S>
void check_step(Probe<S>& probe);
/// No output depends on a later input; each depends on its own.
template <class S>
void check_causality(Probe<S>& probe);
/// Weak to saturated gates, small to large inputs: finite, and all forms agree.
template <class S>
void check_strengths(Probe<S>& probe);

/// Gradients are the same in all forms.
template <class S>
void check_gradients_agree(Probe<S>& probe);
/// Gradients of parameters, input and initial state equal central finite differences.
template <class S>
void check_finite_differences(Probe<S>& probe);
/// A second backward pass adds to the gradient; a reused tape of another size changes nothing.
template <class S>
void check_gradient_accumulates(Probe<S>& probe);
/// Gradients stay finite and agree between the forms at all gate strengths.
template <class S>
void check_gradient_strengths(Probe<S>& probe);

/// Ragged batches, with NaN in the padding of x and dy.
template <class S>
void check_padding(Probe<S>& probe);
/// A packed batch gives what a padded one does.
template <class S>
void check_packing(Probe<S>& probe);
/// A member of a batch has the same bits alone, and for any number of threads.
template <class S>
void check_independence(Probe<S>& probe);
/// Views with strides and without alignment give the same bits and touch nothing else.
template <class S>
void check_views(Probe<S>& probe);
/// The same call again gives the same bits, whatever its workspace held.
template <class S>
void check_repeatable(Probe<S>& probe);
/// No allocation in step and in a scan with a workspace that has served one before.
template <class S>
void check_allocations(Probe<S>& probe);
/// No token, no batch, one token.
template <class S>
void check_empty(Probe<S>& probe);
/// Sizes that do not fit are refused by ShapeError, and the state stays as it was.
template <class S>
void check_wrong_shapes(Probe<S>& probe);
/// A state goes through bytes and through a copy bit for bit.
template <class S>
void check_state_values(Probe<S>& probe);

}  // namespace stepscan::testing
