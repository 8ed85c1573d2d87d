#pragma once

#include <conformance/case.hpp>
#include <functional>
#include <string>
#include <vector>

namespace conformance {

/// What one run gives, by the names of a case: "out/y", "grad/in/x".
class Results {
 public:
  template <Scalar S>
  void add(const std::string& name, std::span<const S> values) {
    auto& to = values_[name];
    to.insert(to.end(), values.begin(), values.end());
  }
  [[nodiscard]] const std::map<std::string, std::vector<double>>& values() const noexcept { return values_; }

 private:
  std::map<std::string, std::vector<double>> values_;
};

/// The command line.
struct Options {
  std::string form = "all";
  std::string scalar = "all";
  std::vector<std::string> files;
};

struct Tally {
  int passed = 0;
  int failed = 0;
  int skipped = 0;
};

/// Runs the forms of one case in one scalar type, prints a line for each and counts.
class Session {
 public:
  Session(const Case& golden, const Options& options, std::string scalar, std::string file, Tally& tally)
      : case_(golden), options_(options), scalar_(std::move(scalar)), file_(std::move(file)), tally_(tally) {}

  /// Calls run(compare), which calls compare(results, gradients) for every way in which this form can be run: its chunk
  /// sizes, layer and plan, with and without a tape. The line shows the worst of them.
  template <class Run>
  void form(const std::string& name, bool iterative, Run&& run) {
    if (options_.form != "all" && options_.form != name) {
      ++tally_.skipped;
      return;
    }
    Worst worst;
    try {
      run([&](const Results& results, bool gradients) { compare(results, gradients, worst); });
    } catch (const std::exception& error) {
      fail(name, error.what());
      return;
    }
    report(name, tolerance(iterative), worst);
  }

  void fail(const std::string& form, const std::string& reason);

 private:
  struct Worst {
    double error = -1;
    std::string name = "nothing compared";
  };

  /// How far results may lie from the case's: see the goldens' conventions. Iterative forms stop at a tolerance of
  /// their own, 1e-10 or 1e-5 in the last change, which their slower contraction multiplies.
  [[nodiscard]] double tolerance(bool iterative) const {
    if (scalar_ == "double") return iterative ? 1e-7 : 1e-9;
    return iterative || case_.is_strong() ? 2e-3 : 2e-4;
  }

  void compare(const Results& results, bool gradients, Worst& worst) const;
  void report(const std::string& form, double allowed, const Worst& worst);

  const Case& case_;
  const Options& options_;
  std::string scalar_;
  std::string file_;
  Tally& tally_;
};

/// A layer's name in the files, and what rebuilds it from a case and runs all its forms.
struct Family {
  std::string layer;
  void (*in_float)(Case&, Session&);
  void (*in_double)(Case&, Session&);
};

/// A new layer joins by a source file with such a function, and its line in main.cpp.
Family aaren_family();
Family affine_scan_family();
Family attention_sink_metric_family();
Family biased_attention_family();
Family block_topk_attention_family();
Family causal_conv1d_family();
Family delta_rule_family();
Family discretize_family();
Family dss_family();
Family elman_rnn_family();
Family gated_delta_rule_family();
Family gated_linear_attention_family();
Family gated_linear_attention_layer_family();
Family gru_family();
Family hippo_family();
Family lightning_attention_family();
Family linear_attention_family();
Family lru_family();
Family lssl_family();
Family lstm_family();
Family mamba2_ssd_family();
Family mamba_family();
Family min_gru_family();
Family min_lstm_family();
Family mlstm_family();
Family multihead_elman_family();
Family multihead_gru_family();
Family multihead_lstm_family();
Family pattern_attention_family();
Family pointer_attention_family();
Family pointer_network_family();
Family prob_sparse_attention_family();
Family retention_family();
Family s4_family();
Family s4d_family();
Family s4d_init_family();
Family s5_family();
Family scalar_gated_attention_family();
Family selective_scan_family();
Family sigmoid_attention_family();
Family slstm_family();
Family softmax_attention_family();
Family softmax_scan_family();
Family vertical_slash_attention_family();

}  // namespace conformance
