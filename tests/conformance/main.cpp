#include <algorithm>
#include <conformance/session.hpp>
#include <cstdio>
#include <exception>

namespace conformance {

namespace {

constexpr const char* usage =
    "usage: stepscan_conformance [--scalar double|float|all] [--form NAME|all] FILE...\n"
    "Rebuilds the layer of each golden case, runs every form it has, forward and backward, and compares.\n"
    "Forms: recurrent, chunked, parallel, convolution, newton-full, newton-diagonal; own, of what has no forms.\n";

const std::vector<std::string> scalars{"double", "float"};
const std::vector<std::string> forms{"recurrent",   "chunked",         "parallel", "convolution",
                                     "newton-full", "newton-diagonal", "own"};

bool is_one_of(const std::string& name, const std::vector<std::string>& names) {
  return name == "all" || std::find(names.begin(), names.end(), name) != names.end();
}

/// Whether the arguments make sense.
bool parse(int count, char** arguments, Options& options) {
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--scalar" || argument == "--form") {
      if (++i == count) return false;
      (argument == "--form" ? options.form : options.scalar) = arguments[i];
    } else if (argument.starts_with("--")) {
      return false;
    } else {
      options.files.push_back(argument);
    }
  }
  return !options.files.empty() && is_one_of(options.form, forms) && is_one_of(options.scalar, scalars);
}

std::vector<Family> all_families() {
  return {
      aaren_family(),
      affine_scan_family(),
      attention_sink_metric_family(),
      biased_attention_family(),
      block_topk_attention_family(),
      causal_conv1d_family(),
      delta_rule_family(),
      discretize_family(),
      dss_family(),
      elman_rnn_family(),
      gated_delta_rule_family(),
      gated_linear_attention_family(),
      gated_linear_attention_layer_family(),
      gru_family(),
      hippo_family(),
      lightning_attention_family(),
      linear_attention_family(),
      lru_family(),
      lssl_family(),
      lstm_family(),
      mamba2_ssd_family(),
      mamba_family(),
      min_gru_family(),
      min_lstm_family(),
      mlstm_family(),
      multihead_elman_family(),
      multihead_gru_family(),
      multihead_lstm_family(),
      pattern_attention_family(),
      pointer_attention_family(),
      pointer_network_family(),
      prob_sparse_attention_family(),
      retention_family(),
      s4_family(),
      s4d_family(),
      s4d_init_family(),
      s5_family(),
      scalar_gated_attention_family(),
      selective_scan_family(),
      sigmoid_attention_family(),
      slstm_family(),
      softmax_attention_family(),
      softmax_scan_family(),
      vertical_slash_attention_family(),
  };
}

/// Reads the case anew for each scalar type, since reading is what the case keeps account of.
void run_file(const std::string& file, const Options& options, const std::vector<Family>& families, Tally& tally) {
  for (const std::string& scalar : scalars) {
    if (options.scalar != "all" && options.scalar != scalar) continue;
    try {
      Case golden(file);
      Session session(golden, options, scalar, file, tally);
      const auto family =
          std::find_if(families.begin(), families.end(), [&](const Family& f) { return f.layer == golden.layer; });
      try {
        if (family == families.end()) stepscan::fail<FileError>("unknown layer");
        (scalar == "float" ? family->in_float : family->in_double)(golden, session);
      } catch (const std::exception& error) {
        session.fail("-", error.what());
      }
    } catch (const std::exception& error) {
      ++tally.failed;
      std::printf("FAIL - - %s (%s) %s\n", scalar.c_str(), error.what(), file.c_str());
    }
  }
}

}  // namespace

}  // namespace conformance

int main(int count, char** arguments) {
  using namespace conformance;
  Options options;
  if (!parse(count, arguments, options)) {
    std::fputs(usage, stderr);
    return 2;
  }
  const std::vector<Family> families = all_families();
  Tally tally;
  for (const std::string& file : options.files) run_file(file, options, families, tally);
  std::printf("%d passed, %d failed, %d skipped\n", tally.passed, tally.failed, tally.skipped);
  return tally.failed == 0 ? 0 : 1;
}
