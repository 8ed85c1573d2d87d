#include <contract/checks.hpp>
#include <contract/gradients.hpp>

namespace stepscan::testing {

namespace {

/// Whether all tokens behind each member's length are zero.
template <class S>
bool padding_is_zero(const Sequence<S>& sequence, std::span<const Index> lengths) {
  for (Index b = 0; b < sequence.extent(0); ++b) {
    for (Index t = lengths[static_cast<std::size_t>(b)]; t < sequence.extent(1); ++t) {
      for (Index i = 0; i < sequence.extent(2); ++i) {
        if (sequence(b, t, i) != S(0)) return false;
      }
    }
  }
  return true;
}

template <class S>
void spoil_padding(Sequence<S>& sequence, std::span<const Index> lengths) {
  for (Index b = 0; b < sequence.extent(0); ++b) {
    for (Index t = lengths[static_cast<std::size_t>(b)]; t < sequence.extent(1); ++t) {
      std::fill_n(&sequence(b, t, 0), sequence.extent(2), static_cast<S>(not_a_number));
    }
  }
}

/// Each member of a batch with the given lengths, against the member alone without padding.
template <class S>
void check_members(Probe<S>& probe, std::span<const Index> lengths, Index time) {
  TrainableModel<S>& model = probe.model;
  const auto batch = static_cast<Index>(lengths.size());
  std::vector<Index> out_lengths;
  for (const Index length : lengths) out_lengths.push_back(model.output_time(length));
  Sequence<S> x = probe.random_inputs(batch, time), dy = probe.random_outputs(batch, time);
  spoil_padding<S>(x, lengths);
  spoil_padding<S>(dy, out_lengths);
  const AnyState<S> start = probe.random_state(batch), dend = probe.random_state(batch);
  const SequenceView<const S> ragged = SequenceView<const S>(x).ragged(lengths);

  for (std::size_t f = 0; f < model.forms.size(); ++f) {
    const Form& form = model.forms[f];
    CAPTURE(model.name, form.name);
    const Outcome<S> outcome = run<S>(model, f, start, ragged), planned = run<S>(*probe.plan, f, start, ragged);
    const Gradient<S> together = gradient<S>(model, f, start, ragged, dy, dend);
    CHECK(padding_is_zero<S>(outcome.y, out_lengths));
    CHECK(padding_is_zero<S>(planned.y, out_lengths));
    CHECK(padding_is_zero(together.dx, lengths));

    Difference worst;
    bool bits = true, planned_bits = true;
    std::vector<std::vector<S>> sum(together.parameters.size());
    for (Index b = 0; b < batch; ++b) {
      const Index length = lengths[static_cast<std::size_t>(b)], out_length = out_lengths[static_cast<std::size_t>(b)];
      const Sequence<S> own_x = row_of(x, b, length), own_dy = row_of(dy, b, out_length);
      const AnyState<S> own_start = row_of<S>(model, start, b);
      const Outcome<S> alone = run<S>(model, f, own_start, own_x);
      bits = bits && row_bytes(outcome.y, b, out_length) == bytes(alone.y) &&
             row_bytes(outcome.end.tensors(), b) == bytes(alone.end.tensors());
      const Outcome<S> planned_alone = run<S>(*probe.plan, f, own_start, own_x);
      planned_bits = planned_bits && row_bytes(planned.y, b, out_length) == bytes(planned_alone.y) &&
                     row_bytes(planned.end.tensors(), b) == bytes(planned_alone.end.tensors());

      const Gradient<S> own = gradient<S>(model, f, own_start, own_x, own_dy, row_of<S>(model, dend, b));
      worst.include("x", distance<S>(row_of(together.dx, b, length).span(), own.dx.span(), floor_of(form)));
      worst.include("state", distance<S>(numbers(row_of<S>(model, together.dstart, b).tensors()),
                                         numbers(own.dstart.tensors()), floor_of(form)));
      for (std::size_t i = 0; i < sum.size(); ++i) {
        sum[i].resize(own.parameters[i].values.size());
        for (std::size_t j = 0; j < sum[i].size(); ++j) sum[i][j] += own.parameters[i].values[j];
      }
    }
    for (std::size_t i = 0; i < sum.size(); ++i) {
      worst.include(together.parameters[i].name, distance<S>(together.parameters[i].values, sum[i], floor_of(form)));
    }
    CAPTURE(worst.where);
    CHECK(bits);
    CHECK(planned_bits);
    CHECK(worst.error <= tolerance<S>(form));
  }
}

}  // namespace

template <class S>
void check_padding(Probe<S>& probe) {
  constexpr Index time = 2 * tested_chunk + 3;
  check_members<S>(probe, std::vector<Index>{3, 0, time, tested_chunk, 1}, time);
  check_members<S>(probe, std::vector<Index>{0, 0}, time);
  check_members<S>(probe, std::vector<Index>{tested_chunk + 1}, time);
}

namespace {

/// Where sequences of these lengths lie end to end.
Packing packing_of(std::span<const Index> lengths) {
  std::vector<Index> offsets{0};
  for (const Index length : lengths) offsets.push_back(offsets.back() + length);
  return Packing(offsets);
}

/// The real tokens of a padded batch as one sequence.
template <class S>
Sequence<S> packed(const Sequence<S>& padded, const Packing& packing) {
  Sequence<S> all(1, packing.tokens(), padded.extent(2));
  const SequenceView<S> to = SequenceView<S>(all).packed(packing);
  for (Index b = 0; b < to.batch; ++b) {
    for (Index t = 0; t < to.length(b); ++t) std::copy_n(&padded(b, t, 0), padded.extent(2), to.token(b, t));
  }
  return all;
}

}  // namespace

template <class S>
void check_packing(Probe<S>& probe) {
  TrainableModel<S>& model = probe.model;
  constexpr Index time = 2 * tested_chunk + 3;
  const std::vector<Index> lengths{tested_chunk, 0, time, 1, 2};
  std::vector<Index> out_lengths;
  for (const Index length : lengths) out_lengths.push_back(model.output_time(length));
  const Packing packing = packing_of(lengths), out_packing = packing_of(out_lengths);
  const auto batch = static_cast<Index>(lengths.size());
  const Sequence<S> x = probe.random_inputs(batch, time), dy = probe.random_outputs(batch, time);
  const AnyState<S> start = probe.random_state(batch), dend = probe.random_state(batch);
  const Sequence<S> packed_x = packed(x, packing), packed_dy = packed(dy, out_packing);
  const SequenceView<const S> ragged = SequenceView<const S>(x).ragged(lengths);
  const SequenceView<const S> in = SequenceView<const S>(packed_x).packed(packing);

  for (std::size_t f = 0; f < model.forms.size(); ++f) {
    CAPTURE(model.name, model.forms[f].name);
    Sequence<S> y(1, out_packing.tokens(), model.outputs);
    const SequenceView<S> out = SequenceView<S>(y).packed(out_packing);
    for (const Model<S>* any : {static_cast<const Model<S>*>(&model), static_cast<const Model<S>*>(probe.plan.get())}) {
      const Outcome<S> expected = run<S>(*any, f, start, ragged);
      AnyState<S> end = start;
      Workspace workspace;
      any->scan(f, end, in, out, workspace);
      const bool same_outputs = bytes(y) == bytes(packed(expected.y, out_packing));
      const bool same_states = bytes(end.tensors()) == bytes(expected.end.tensors());
      CHECK(same_outputs);
      CHECK(same_states);
    }

    const Gradient<S> expected = gradient<S>(model, f, start, ragged, dy, dend);
    for (const auto& values : model.gradient()) std::fill(values.numbers.begin(), values.numbers.end(), S(0));
    AnyState<S> state = start, dstart = dend;
    Sequence<S> dx(1, packing.tokens(), model.inputs);
    model.forward(f, state, in, out);
    model.backward(SequenceView<const S>(packed_dy).packed(out_packing), dend, SequenceView<S>(dx).packed(packing),
                   dstart);
    // Large products round by where their operands stand in memory.
    CHECK(distance<S>(dx.span(), packed(expected.dx, packing).span()) <= exact_tolerance<S>);
    CHECK(distance<S>(numbers(dstart.tensors()), numbers(expected.dstart.tensors())) <= exact_tolerance<S>);
    const auto found = model.gradient();
    for (std::size_t i = 0; i < found.size(); ++i) {
      CAPTURE(found[i].name);
      CHECK(distance<S>(found[i].numbers, expected.parameters[i].values) <= exact_tolerance<S>);
    }
  }
}

template <class S>
void check_independence(Probe<S>& probe) {
  constexpr Index batch = 5, time = 3 * tested_chunk + 5;
  check_members<S>(probe, std::vector<Index>(batch, time), time);

  const auto x = probe.random_inputs(batch, time), dy = probe.random_outputs(batch, time);
  const AnyState<S> start = probe.random_state(batch), dend = probe.random_state(batch);
  for (std::size_t f = 0; f < probe.model.forms.size(); ++f) {
    const Outcome<S> one = run<S>(probe.model, f, start, x), planned = run<S>(*probe.plan, f, start, x);
    const Gradient<S> gradient_of_one = gradient<S>(probe.model, f, start, x, dy, dend);
    for (const int threads : {2, 3}) {
      const ThreadCount many(threads);
      CAPTURE(probe.model.name, probe.model.forms[f].name, threads);
      CHECK(same_bits(run<S>(probe.model, f, start, x), one));
      CHECK(same_bits(run<S>(*probe.plan, f, start, x), planned));
      CHECK(same_bits(gradient<S>(probe.model, f, start, x, dy, dend), gradient_of_one));
    }
  }
}

template <class S>
void check_repeatable(Probe<S>& probe) {
  constexpr Index time = 3 * tested_chunk + 5;
  const auto x = probe.random_inputs(3, time), dy = probe.random_outputs(3, time);
  const AnyState<S> start = probe.random_state(3), dend = probe.random_state(3);
  for (std::size_t f = 0; f < probe.model.forms.size(); ++f) {
    CAPTURE(probe.model.name, probe.model.forms[f].name);
    for (const Model<S>* model :
         {static_cast<const Model<S>*>(&probe.model), static_cast<const Model<S>*>(probe.plan.get())}) {
      const Outcome<S> first = run<S>(*model, f, start, x);
      Workspace workspace;
      {
        const Workspace::Scope scope(workspace);
        constexpr Index count = 1 << 16;
        std::fill_n(workspace.take<S>(count), count, static_cast<S>(not_a_number));
      }
      Outcome<S> again{Sequence<S>(3, model->output_time(time), model->outputs), start};
      model->scan(f, again.end, x, again.y, workspace);
      CHECK(same_bits(again, first));
    }
    const Gradient<S> first = gradient<S>(probe.model, f, start, x, dy, dend);
    CHECK(same_bits(gradient<S>(probe.model, f, start, x, dy, dend), first));
  }
}

template void check_padding(Probe<float>&);
template void check_padding(Probe<double>&);
template void check_packing(Probe<float>&);
template void check_packing(Probe<double>&);
template void check_independence(Probe<float>&);
template void check_independence(Probe<double>&);
template void check_repeatable(Probe<float>&);
template void check_repeatable(Probe<double>&);

}  // namespace stepscan::testing
