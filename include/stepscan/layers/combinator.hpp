#pragma once

#include <algorithm>
#include <limits>
#include <stepscan/layers/layer.hpp>

/// What layers made of layers share: the forms they have, the blocks of tokens they work in, what lies between layers.
namespace stepscan::inline STEPSCAN_ISA {

namespace detail {

/// The forms to choose from: those of the first layer that does not take any.
template <class First, class... Rest>
struct FormsToChooseFrom {
  using type = typename First::Forms;
};
template <class First, class... Rest>
requires(sizeof...(Rest) > 0 && First::any_form) struct FormsToChooseFrom<First, Rest...> : FormsToChooseFrom<Rest...> {
};

template <class List, class... Layers>
struct SharedForms;
template <class... Forms, class... Layers>
struct SharedForms<std::tuple<Forms...>, Layers...> {
  template <class Form>
  using Kept = std::conditional_t<(has_form<Layers, Form> && ...), std::tuple<Form>, std::tuple<>>;
  using type = decltype(std::tuple_cat(Kept<Forms>{}...));
};

/// The forms that all layers have.
template <class... Layers>
using CommonForms = typename SharedForms<typename FormsToChooseFrom<Layers...>::type, Layers...>::type;

/// "As many tokens as there are": for layers and forms that must see the whole sequence at once.
inline constexpr Index whole_sequence = std::numeric_limits<Index>::max();

/// A combinator takes its layers through this many tokens at a time, so that its memory does not grow with the sequence
/// and what lies between two layers stays in the cache.
inline constexpr Index usual_block = 256;

template <class Form>
struct FormBlock {
  static constexpr Index tokens = usual_block;
};
/// Whole chunks only.
template <Index Tokens>
struct FormBlock<Chunked<Tokens>> {
  static constexpr Index tokens = Tokens <= 0 ? usual_block : (usual_block + Tokens - 1) / Tokens * Tokens;
};
template <Jacobian Kind, Index Tokens>
struct FormBlock<Newton<Kind, Tokens>> : FormBlock<Chunked<Tokens>> {};
/// The more chunks, the more threads can share them.
template <Index Tokens>
struct FormBlock<Parallel<Tokens>> {
  static constexpr Index tokens = whole_sequence;
};
template <>
struct FormBlock<Convolution> {
  static constexpr Index tokens = whole_sequence;
};

/// A layer made of parts keeps to blocks in every form: long ones where several chunks are to be shared.
template <class Form>
struct PartsBlock : FormBlock<Form> {};
template <Index Tokens>
struct PartsBlock<Parallel<Tokens>> {
  static constexpr Index tokens = Tokens <= 0 ? 4096 : (4096 + Tokens - 1) / Tokens * Tokens;
};

/// How many tokens layer L wants at a time in a form.
template <class L, class Form>
constexpr Index block_of_layer() {
  if constexpr (!L::causal || !L::keeps_time) {
    return whole_sequence;
  } else if constexpr (requires { L::template block_tokens<Form>; }) {
    return L::template block_tokens<Form>;
  } else if constexpr (L::any_form) {
    return usual_block;
  } else if constexpr (std::same_as<Form, OwnForm>) {
    return FormBlock<typename L::DefaultForm>::tokens;
  } else {
    return FormBlock<Form>::tokens;
  }
}

template <class Form, class... Layers>
inline constexpr Index block_of_layers = std::max({block_of_layer<Layers, Form>()...});

/// Forms that report how they ended: the report of a combinator sums up those of its layers and blocks.
template <class Form>
concept Reporting = requires(const Form& form) {
  { *form.report } -> std::same_as<NewtonReport&>;
};

inline void add_report(NewtonReport& total, const NewtonReport& part) noexcept {
  total.iterations = std::max(total.iterations, part.iterations);
  total.residual = std::max(total.residual, part.residual);
  total.fell_back = total.fell_back || part.fell_back;
}

template <class Form>
void clear_report(const Form& form) noexcept {
  if constexpr (Reporting<Form>) {
    if (form.report != nullptr) *form.report = {};
  }
}

/// One layer's scan, its report added to the form's.
template <class L, class Form, class State, class X, class Y>
void scan_part(const L& layer, const Form& form, State& state, const X& x, const Y& y, Workspace& workspace) {
  if constexpr (Reporting<Form>) {
    NewtonReport report;
    Form own = form;
    own.report = &report;
    layer.scan(state, x, y, workspace, own);
    if (form.report != nullptr) add_report(*form.report, report);
  } else {
    layer.scan(state, x, y, workspace, form);
  }
}

/// The shape of what lies between two layers.
struct BetweenLayers {
  Index batch = 0;
  Index time = 0;
  const Index* lengths = nullptr;
  Index start = 0;

  template <class T, Index F>
  explicit BetweenLayers(const SequenceView<T, F>& x) noexcept
      : batch(x.batch), time(x.time), lengths(x.lengths), start(x.start) {}

  template <Index F, class T>
  [[nodiscard]] SequenceView<T, F> view(T* data, Index features) const {
    SequenceView<T, F> between(data, batch, time, features);
    between.lengths = lengths;
    between.start = start;
    return between;
  }

  /// Behind layer number i; one that changes the time writes new lengths to row i of `room` [layers, batch].
  template <class L>
  void pass(const L& layer, std::size_t i, Index* room) noexcept {
    if constexpr (!L::keeps_time) {
      if (lengths != nullptr) {
        Index* changed = room + static_cast<Index>(i) * batch;
        const SequenceView<const Index> before = view<Dynamic, const Index>(nullptr, 0);
        for (Index b = 0; b < batch; ++b) changed[b] = layer.output_time(before.length(b));
        lengths = changed;
        start = 0;
      }
      time = layer.output_time(time);
    }
  }
};

}  // namespace detail

}  // namespace stepscan::inline STEPSCAN_ISA
