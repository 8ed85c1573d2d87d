#include <cstdlib>
#include <models/shared_data.hpp>
#include <stepscan/io/amplifier_json.hpp>
#include <stepscan/io/safetensors.hpp>
#include <stepscan/models/amplifier.hpp>
#include <support/allocation.hpp>

using namespace stepscan;
using shared_data::difference;
using shared_data::path;
using shared_data::present;

namespace {

/// The sizes of the recorded models, so that the test need not compile all usual ones.
using TestedSizes = AmplifierRegistry<HiddenSizes<3, 8>, HiddenSizes<8, 9>>;

std::vector<float> run(AmplifierModel<float> model, const std::vector<float>& in, std::size_t block) {
  std::vector<float> out(in.size());
  for (std::size_t at = 0; at < in.size(); at += block) {
    const std::size_t count = std::min(block, in.size() - at);
    model.process(std::span(in).subspan(at, count), std::span(out).subspan(at, count));
  }
  return out;
}

std::vector<float> numbers(Random& random, Index count, double scale) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(-scale, scale));
  return values;
}

AmplifierDescription random_model(AmplifierCell cell, Index inputs, Index hidden, int layers) {
  Random random(static_cast<std::uint64_t>(hidden * 100 + layers));
  const Index rows = (cell == AmplifierCell::lstm ? 4 : 3) * hidden;
  AmplifierDescription model;
  model.cell = cell;
  model.input_size = inputs;
  model.hidden_size = hidden;
  for (int i = 0; i < layers; ++i) {
    const Index fed = i == 0 ? inputs : hidden;
    model.layers.push_back({numbers(random, rows * fed, 0.8), numbers(random, rows * hidden, 0.4),
                            numbers(random, rows, 0.3), numbers(random, rows, 0.3), numbers(random, hidden, 0.5),
                            cell == AmplifierCell::lstm ? numbers(random, hidden, 0.5) : std::vector<float>{}});
  }
  model.head_weight = numbers(random, hidden, 0.7);
  model.head_bias = 0.125F;
  model.skip = true;
  return model;
}

/// One matrix row times a vector, in double.
double row_times(const std::vector<float>& weights, std::size_t row, const std::vector<double>& x) {
  double sum = 0;
  for (std::size_t k = 0; k < x.size(); ++k) sum += static_cast<double>(weights[row * x.size() + k]) * x[k];
  return sum;
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

/// The equations as they stand in the header, in double; tokens of all inputs one after the other.
std::vector<double> reference(const AmplifierDescription& model, const std::vector<float>& tokens) {
  const auto hidden = static_cast<std::size_t>(model.hidden_size), inputs = static_cast<std::size_t>(model.input_size);
  std::vector<std::vector<double>> hs, cs;
  for (const auto& layer : model.layers) {
    hs.emplace_back(layer.initial_h.begin(), layer.initial_h.end());
    cs.emplace_back(layer.initial_c.begin(), layer.initial_c.end());
  }
  std::vector<double> out;
  for (std::size_t at = 0; at < tokens.size(); at += inputs) {
    std::vector<double> x(tokens.begin() + static_cast<Index>(at), tokens.begin() + static_cast<Index>(at + inputs));
    for (std::size_t l = 0; l < model.layers.size(); ++l) {
      const auto& layer = model.layers[l];
      const std::vector<double> h = hs[l];
      const auto input = [&](std::size_t row) {
        return row_times(layer.weight_ih, row, x) + static_cast<double>(layer.bias_ih[row]);
      };
      const auto recurrent = [&](std::size_t row) {
        return row_times(layer.weight_hh, row, h) + static_cast<double>(layer.bias_hh[row]);
      };
      for (std::size_t u = 0; u < hidden; ++u) {
        const std::size_t second = hidden + u, third = 2 * hidden + u, fourth = 3 * hidden + u;
        if (model.cell == AmplifierCell::lstm) {
          double& c = cs[l][u];
          c = logistic(input(second) + recurrent(second)) * c +
              logistic(input(u) + recurrent(u)) * std::tanh(input(third) + recurrent(third));
          hs[l][u] = logistic(input(fourth) + recurrent(fourth)) * std::tanh(c);
        } else {
          const double n = std::tanh(input(third) + logistic(input(u) + recurrent(u)) * recurrent(third));
          const double z = logistic(input(second) + recurrent(second));
          hs[l][u] = (1 - z) * n + z * h[u];
        }
      }
      x = hs[l];
    }
    out.push_back(row_times(model.head_weight, 0, x) + static_cast<double>(model.head_bias) +
                  (model.skip ? static_cast<double>(tokens[at]) : 0));
  }
  return out;
}

}  // namespace

TEST_CASE("recorded amplifiers agree with the engines they come from, sample by sample", "[amplifier][shared]") {
  const std::string name = GENERATE(as<std::string>{}, "neuralseed_lstm8_ts9_pytorch", "neuralseed_gru8_ts9_pytorch",
                                    "funbox_gru9_bassman", "nam_lstm_1x3");
  const std::string model_file = "models/" + name + (name.starts_with("nam") ? ".nam" : ".json");
  const std::string expected_file = "data/amp_" + name + "_guitar_fifths_48k.safetensors";
  if (!present({model_file, expected_file, "data/guitar_fifths_48k.wav"})) return;
  const auto in = shared_data::read_wav("data/guitar_fifths_48k.wav");
  const auto expected = SafetensorsFile::open(path(expected_file)).values<float>("out/y");
  REQUIRE(in.size() == expected.size());
  const AmplifierDescription description = load_amplifier(path(model_file));

  AmplifierModel<float> fixed(description, TestedSizes{});
  const AmplifierModel<float> dynamic(description, DynamicAmplifiers{});
  REQUIRE(fixed.has_static_size());
  REQUIRE_FALSE(dynamic.has_static_size());

  const auto y = run(fixed, in, in.size());
  CAPTURE(name);
  CHECK(difference(y, expected) < 1e-5);
  const auto y_dynamic = run(dynamic, in, in.size());
  CHECK(difference(y_dynamic, expected) < 1e-5);
  for (const std::size_t block : {std::size_t{48}, std::size_t{64}, std::size_t{441}}) {
    CHECK(run(fixed, in, block) == y);
    CHECK(run(dynamic, in, block) == y_dynamic);
  }
  const std::vector<float> start(in.begin(), in.begin() + 3000);
  CHECK(run(fixed, start, 1) == std::vector<float>(y.begin(), y.begin() + 3000));
  CHECK(run(dynamic, start, 1) == std::vector<float>(y_dynamic.begin(), y_dynamic.begin() + 3000));
}

TEST_CASE("every amplifier file of the known formats loads and runs", "[amplifier][shared]") {
  if (!present({"models", "data/guitar_fifths_48k.wav"})) return;
  const auto wav = shared_data::read_wav("data/guitar_fifths_48k.wav");
  const std::vector<float> in(wav.begin(), wav.begin() + 4800);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path("models"))) {
    const auto extension = entry.path().extension();
    if (extension != ".json" && extension != ".nam") continue;
    CAPTURE(entry.path().string());
    const AmplifierDescription description = load_amplifier(entry.path());
    const auto fixed = run(AmplifierModel<float>(description, TestedSizes{}), in, 64);
    const auto dynamic = run(AmplifierModel<float>(description, DynamicAmplifiers{}), in, 100);
    CHECK(difference(fixed, dynamic) < 1e-5);
    double power = 0;
    for (const float value : fixed) power += static_cast<double>(value) * static_cast<double>(value);
    CHECK(power > 0);
    ++files;
  }
  CHECK(files > 0);
}

TEST_CASE("an amplifier model is its equations: layers, knobs, initial states, skip", "[amplifier]") {
  const auto cell = GENERATE(AmplifierCell::lstm, AmplifierCell::gru);
  const Index inputs = GENERATE(Index{1}, Index{3});
  const Index hidden = GENERATE(Index{1}, Index{8}, Index{13});
  const int layers = GENERATE(1, 2, 3);
  AmplifierDescription description = random_model(cell, inputs, hidden, layers);
  description.skip = layers != 2;
  const std::vector<float> knobs{0.25F, -0.5F};
  Random random(7);
  const std::vector<float> in = numbers(random, 200, 1.0);
  std::vector<float> tokens;
  for (const float sample : in) {
    tokens.push_back(sample);
    if (inputs == 3) tokens.insert(tokens.end(), knobs.begin(), knobs.end());
  }
  AmplifierModel<float> model(description, TestedSizes{});
  CHECK(model.has_static_size() == (hidden == 8));
  CHECK(model.condition_count() == inputs - 1);
  if (inputs == 3) model.set_conditions(knobs);
  CHECK(difference(run(model, in, 77), reference(description, tokens)) < 2e-6);
}

TEST_CASE("a wide amplifier model runs in the Dynamic code", "[amplifier]") {
  const AmplifierDescription description = random_model(AmplifierCell::lstm, 1, 144, 1);
  Random random(9);
  const std::vector<float> in = numbers(random, 100, 1.0);
  const AmplifierModel<float> model(description, DynamicAmplifiers{});
  const auto y = run(model, in, 100);
  CHECK(difference(y, reference(description, in)) < 2e-5);
  CHECK(run(model, in, 1) == y);
}

TEST_CASE("an amplifier model works in place, resets and copies", "[amplifier]") {
  AmplifierModel<float> model(random_model(AmplifierCell::gru, 1, 9, 2), TestedSizes{});
  Random random(3);
  const std::vector<float> in = numbers(random, 150, 1.0);
  const auto first = run(model, in, 150);
  std::vector<float> in_place = in;
  model.process(in_place, in_place);
  CHECK(in_place == first);
  AmplifierModel<float> copy = model;
  const auto second = run(copy, in, 150);
  CHECK(second != first);
  copy.process(in, in_place);
  CHECK(run(model, in, 150) == second);
  model.reset();
  CHECK(run(model, in, 150) == first);
  model.process({}, {});
}

TEST_CASE("an amplifier model allocates nothing while it runs", "[amplifier]") {
  const Index hidden = GENERATE(Index{8}, Index{13}, Index{144});
  AmplifierModel<float> model(random_model(AmplifierCell::lstm, 2, hidden, 2), TestedSizes{});
  const std::vector<float> in(1000, 0.5F);
  std::vector<float> out(in.size());
  const long before = testing::allocation_count();
  model.process(in, out);
  model.reset();
  model.process(std::span(in).first(1), std::span(out).first(1));
  CHECK(testing::allocation_count() == before);
}

TEST_CASE("an amplifier model in double agrees with float", "[amplifier]") {
  const AmplifierDescription description = random_model(AmplifierCell::lstm, 1, 8, 2);
  Random random(5);
  const std::vector<float> in = numbers(random, 100, 1.0);
  const std::vector<double> in_double(in.begin(), in.end());
  std::vector<double> out(in.size());
  AmplifierModel<double>(description, DynamicAmplifiers{}).process(in_double, out);
  CHECK(difference(out, reference(description, in)) < 1e-13);
}

TEST_CASE("an amplifier model refuses what does not fit, and says what", "[amplifier]") {
  const AmplifierDescription good = random_model(AmplifierCell::lstm, 2, 4, 1);
  const auto build = [](const AmplifierDescription& description) {
    AmplifierModel<float>(description, DynamicAmplifiers{});
  };
  AmplifierDescription bad = good;
  bad.hidden_size = 5;
  CHECK_THROWS_WITH(build(bad), ContainsSubstring("weight_ih [20, 2], found 32"));
  bad.hidden_size = 0;
  CHECK_THROWS_AS(build(bad), ShapeError);
  bad.hidden_size = Index{1} << 40;
  CHECK_THROWS_AS(build(bad), ShapeError);
  bad = good;
  bad.layers.clear();
  CHECK_THROWS_AS(build(bad), ShapeError);
  bad = good;
  bad.head_weight.pop_back();
  CHECK_THROWS_WITH(build(bad), ContainsSubstring("the head's weight") && ContainsSubstring("expected 4") &&
                                    ContainsSubstring("found 3"));
  bad = good;
  bad.layers[0].initial_c.pop_back();
  CHECK_THROWS_WITH(build(bad), ContainsSubstring("initial c"));
  AmplifierModel<float> model(good, DynamicAmplifiers{});
  const std::vector<float> in(4);
  std::vector<float> out(3);
  CHECK_THROWS_WITH(model.process(in, out), ContainsSubstring("4 samples, found 3"));
  CHECK_THROWS_WITH(model.set_conditions(in), ContainsSubstring("1 conditions, found 4"));
}
