#include <conformance/trees.hpp>
#include <stepscan/models/beam_search.hpp>
#include <stepscan/models/pointer_network_backward.hpp>

namespace conformance {

namespace {

using detail::Sequence;

/// "encoder.weight_ih" is "enc.w_ih"; the pointer's parameters bear no prefix.
std::optional<Place> place(std::size_t, const std::string& name) {
  if (name.starts_with("pointer.")) return Place{name.substr(8)};
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos) return Place{name};
  const std::string parameter = name.substr(dot + 1);
  return Place{name.substr(0, 3) + (parameter.starts_with("weight") ? ".w" : ".b") +
               parameter.substr(parameter.find('_'))};
}

std::vector<Index> read_indices(Case& golden, const std::string& name, const std::vector<Index>& shape) {
  golden.require_shape(name, shape);
  const auto values = golden.integers(name);
  return {values.begin(), values.end()};
}

template <Scalar S>
struct PointerCase {
  using Network = stepscan::PointerNetwork<S>;
  using Training = stepscan::Training<Network>;
  Network network;
  Index beams, steps;
  Sequence<S> x;
  typename Network::State start;
  std::vector<Index> lengths, targets, target_lengths;
  Sequence<S> dlog_probs;
  stepscan::PointerLessonCotangents<S> cotangents;

  explicit PointerCase(Case& golden)
      : network(golden.config.size("features"), golden.config.size("hidden"), golden.config.size("attention_features"),
                golden.config.flag("terminal")),
        beams(golden.config.size("beam")),
        steps(golden.config.size("steps")) {
    network.mask_visited = golden.config.flag("mask_visited");
    detail::read_tree(golden, "param/", place, 0, network);
    x = detail::read_sequence<S>(golden, "in/x", false, network.encoder.input_size());
    const Index batch = x.extent(0),
                taught = golden.shape("in/targets").size() == 2 ? golden.shape("in/targets")[1] : 0;
    start = network.initial_state(batch);
    detail::read_tree(golden, "in/state.", own_name, 0, start);
    lengths = golden.has("in/lengths") ? read_indices(golden, "in/lengths", {batch})
                                       : std::vector<Index>(static_cast<std::size_t>(batch), x.extent(1));
    targets = read_indices(golden, "in/targets", {batch, taught});
    target_lengths = golden.has("in/target_lengths") ? read_indices(golden, "in/target_lengths", {batch})
                                                     : std::vector<Index>(static_cast<std::size_t>(batch), taught);
    dlog_probs = Sequence<S>(batch, taught, network.slots(x.extent(1)));
    if (golden.has("cot/log_probs")) {
      golden.require_shape("cot/log_probs", {batch, taught, dlog_probs.extent(2)});
      golden.read("cot/log_probs", dlog_probs.data());
    }
    cotangents.log_probs = std::as_const(dlog_probs);
    if (golden.has("cot/loss")) {
      golden.require_shape("cot/loss", {});
      golden.read("cot/loss", &cotangents.loss);
    }
    cotangents.encoder = cotangents.decoder = network.initial_state(batch);
    detail::read_tree(golden, "cot/encoder.", own_name, 0, cotangents.encoder);
    detail::read_tree(golden, "cot/state.", own_name, 0, cotangents.decoder);
  }

  [[nodiscard]] stepscan::SequenceView<const S> items() const {
    return stepscan::SequenceView<const S>(x).ragged(lengths);
  }

  void add_lesson(Results& results, const stepscan::PointerLesson<S>& lesson) const {
    results.add("out/log_probs", lesson.log_probs.span());
    results.add("out/loss", std::span<const S>(&lesson.loss, 1));
    detail::add_tree(results, "out/encoder.", own_name, 0, lesson.encoder);
    detail::add_tree(results, "out/state.", own_name, 0, lesson.decoder);
    stepscan::Workspace workspace;
    add_found(results, "greedy", stepscan::greedy_search<S>(network, start, items(), steps, workspace));
    add_found(results, "beam", stepscan::beam_search<S>(network, start, items(), beams, steps, workspace));
  }

  static void add_found(Results& results, const std::string& name, const stepscan::PointerSequences<S>& found) {
    const std::vector<double> slots(found.slots.begin(), found.slots.end());
    results.add("out/" + name, std::span<const double>(slots));
    results.add("out/" + name + "_score", found.scores.span());
  }

  template <class Form, class Compare>
  void run(const Form& form, const Compare& compare) const {
    const stepscan::PointerTargets taught{targets.data(), dlog_probs.extent(1), target_lengths.data()};
    stepscan::Workspace workspace;
    stepscan::PointerLesson<S> lesson;
    network.teach(start, items(), taught, lesson, workspace, form);
    Results inferred;
    add_lesson(inferred, lesson);
    compare(inferred, false);

    typename Training::Tape tape;
    Training::forward(network, start, items(), taught, lesson, tape, form);
    Network gradient = stepscan::zeros_like(network);
    Sequence<S> dx(x.shape());
    auto dstart = start;
    Training::backward(network, tape, lesson, cotangents, gradient, dx, dstart);
    Results trained;
    add_lesson(trained, lesson);
    trained.add("grad/in/x", std::as_const(dx).span());
    detail::add_tree(trained, "grad/in/state.", own_name, 0, dstart);
    detail::add_tree(trained, "grad/param/", place, 0, gradient);
    compare(trained, true);
  }
};

template <Scalar S>
void run_case(Case& golden, Session& session) {
  const PointerCase<S> pointers(golden);
  golden.check_all_read();
  session.form("recurrent", false, [&](const auto& compare) { pointers.run(stepscan::Recurrent{}, compare); });
  session.form("chunked", false, [&](const auto& compare) { pointers.run(stepscan::Chunked<>{}, compare); });
}

}  // namespace

Family pointer_network_family() { return {"pointer_network", run_case<float>, run_case<double>}; }

}  // namespace conformance
