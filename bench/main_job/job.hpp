#pragma once

#include <chrono>
#include <cmath>
#include <functional>
#include <stepscan/core/threads.hpp>
#include <stepscan/layers/layer.hpp>
#include <string>
#include <vector>

#include "../harness/form_names.hpp"

/// The main job: every layer of the library in every form it declares, on the same input.
namespace main_job {

using namespace stepscan;
using bench::form_name;
using bench::FormsOf;

struct Options {
  std::string layer;  ///< run only layers whose name contains this
  Index batch = 4;
  Index time = 1024;
  Index width = 64;  ///< features in and out
  int threads = 2;
  double seconds = 0.3;  ///< how long each form is timed
  std::string json;      ///< file for the results
};

struct Row {
  std::string layer;
  std::string form;
  double tokens_per_second = 0;
  double ratio = 1;       ///< to the first form, Recurrent
  double difference = 0;  ///< largest |y - y of Recurrent|
};

/// Makes the value of an input feature valid: a log decay must not be positive.
using ValidInput = std::function<float(Index feature, float value)>;

/// Says what runs now.
using Progress = std::function<void(const std::string& layer, const std::string& form)>;

/// Assembles nothing: runs a prepared layer in each of its forms and appends a row for each.
template <class Plan>
void run_forms(const std::string& name, const Plan& plan, const Options& options, const Progress& progress,
               std::vector<Row>& rows, const ValidInput& valid = {}) {
  using S = typename Plan::scalar_type;
  using Clock = std::chrono::steady_clock;
  Tensor<S, Dynamic, Dynamic, Dynamic> x(options.batch, options.time, plan.input_size());
  Tensor<S, Dynamic, Dynamic, Dynamic> y(options.batch, options.time, plan.output_size()), first = y;
  Random random(1);
  for (Index i = 0; i < x.size(); ++i) {
    x[i] = static_cast<S>(random.uniform(-1, 1));
    if (valid) x[i] = valid(i % plan.input_size(), x[i]);
  }
  Workspace workspace;
  const std::size_t before = rows.size();
  const auto run = [&](const auto& form) {
    progress(name, form_name(form));
    auto state = plan.initial_state(options.batch);
    plan.scan(state, x, y, workspace, form);
    if (rows.size() == before) first = y;
    double difference = 0;
    for (Index i = 0; i < y.size(); ++i)
      difference = std::fmax(difference, std::fabs(static_cast<double>(y[i] - first[i])));
    long tokens = 0;
    const auto start = Clock::now();
    double elapsed = 0;
    while (elapsed < options.seconds) {
      plan.scan(state, x, y, workspace, form);
      tokens += options.batch * options.time;
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    const double rate = static_cast<double>(tokens) / elapsed;
    const double reference = rows.size() == before ? rate : rows[before].tokens_per_second;
    rows.push_back({name, form_name(form), rate, rate / reference, difference});
  };
  std::apply([&](const auto&... form) { (run(form), ...); }, FormsOf<Plan>{});
}

/// One line of the list of layers.
struct Entry {
  std::string name;
  std::function<void(const Options&, const Progress&, std::vector<Row>&)> run;
};

/// An entry for the layer that `make(width)` assembles, with fresh parameters; inputs from `first_log_decay(width)` on
/// are log decays.
template <class Make>
[[nodiscard]] Entry entry(const std::string& name, Make make,
                          const std::function<Index(Index width)>& first_log_decay = {}) {
  return {name, [=](const Options& options, const Progress& progress, std::vector<Row>& rows) {
            auto layer = make(options.width);
            initialize(layer, 1);
            ValidInput valid;
            if (first_log_decay) {
              valid = [first = first_log_decay(options.width)](Index i, float value) {
                return i < first ? value : -std::fabs(value);
              };
            }
            run_forms(name, prepare(layer), options, progress, rows, valid);
          }};
}

/// What is no layer is given the face of one, by a class made of a width that has input_size(), output_size() and scan.
struct Face {
  using scalar_type = float;
  using Forms = std::tuple<Recurrent, Chunked<>>;
  static constexpr bool any_form = false;

  static NoState initial_state(Index) { return {}; }
};

/// An entry for a class with a Face.
template <class Faced>
[[nodiscard]] Entry faced(const std::string& name) {
  return {name, [=](const Options& options, const Progress& progress, std::vector<Row>& rows) {
            run_forms(name, Faced(options.width), options, progress, rows);
          }};
}

std::vector<Entry> recurrent_layers();
std::vector<Entry> multihead_layers();
std::vector<Entry> affine_layers();
std::vector<Entry> blocks();
std::vector<Entry> selective_layers();
std::vector<Entry> decay_layers();
std::vector<Entry> state_space_layers();
std::vector<Entry> attention_layers();
std::vector<Entry> chosen_attention();
std::vector<Entry> pointers();
std::vector<Entry> models();

}  // namespace main_job
