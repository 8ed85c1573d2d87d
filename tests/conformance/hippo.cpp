#include <conformance/initial.hpp>
#include <stepscan/ops/s4d_init.hpp>

/// hippo and s4d_init: initial matrices, always in double.
namespace conformance {

namespace {

using Complexes = std::vector<std::complex<double>>;

void add_complex(Values& values, const std::string& name, std::span<const std::complex<double>> numbers) {
  for (const std::complex<double> z : numbers) {
    values[name + ".re"].push_back(z.real());
    values[name + ".im"].push_back(z.imag());
  }
}

void add_moduli(Values& values, const std::string& name, const Complexes& numbers) {
  for (const std::complex<double> z : numbers) values[name].push_back(std::abs(z));
}

template <class TensorType>
void add_real(Values& values, const std::string& name, const TensorType& tensor) {
  values[name].assign(tensor.begin(), tensor.end());
}

template <Scalar S>
void run_hippo(Case& golden, Session& session) {
  const auto measure =
      static_cast<stepscan::HippoMeasure>(golden.config.choice("measure", {"legs", "legt", "lagt", "fourier", "lmu"}));
  const Index size = golden.config.size("state_size"), rank = golden.config.size("rank", 0);
  run_initial<S>(golden, session, [&](Values& values) {
    const auto system = stepscan::hippo(measure, size);
    add_real(values, "out/A", system.A);
    add_real(values, "out/B", system.B);
    if (rank == 0) return;
    const auto form = stepscan::hippo_normal(measure, size, rank);
    add_real(values, "out/P", form.P);
    add_real(values, "out/normal", form.normal);
    add_complex(values, "out/lambda", form.lambda.span());
    add_moduli(values, "out/abs_VhB", form.coordinates(system.B.data()));
    for (Index r = 0; r < rank; ++r) add_moduli(values, "out/abs_VhP", form.coordinates(&form.P(r, 0)));
  });
}

template <Scalar S>
void run_s4d_init(Case& golden, Session& session) {
  const auto kind = static_cast<stepscan::S4dInit>(golden.config.choice("kind", {"lin", "inv", "quad", "legs"}));
  const Index size = golden.config.size("state_size", 2);
  run_initial<S>(golden, session,
                 [&](Values& values) { add_complex(values, "out/A", stepscan::s4d_init(kind, size)); });
}

}  // namespace

Family hippo_family() { return {"hippo", run_hippo<float>, run_hippo<double>}; }
Family s4d_init_family() { return {"s4d_init", run_s4d_init<float>, run_s4d_init<double>}; }

}  // namespace conformance
