#include <stepscan/layers/linear.hpp>
#include <stepscan/layers/lstm.hpp>
#include <stepscan/models/bidirectional.hpp>
#include <stepscan/models/residual.hpp>
#include <stepscan/models/sequential.hpp>

#include "job.hpp"

std::vector<main_job::Entry> main_job::models() {
  using DynamicLstm = Lstm<float, Dynamic, Dynamic>;
  using DynamicLinear = Linear<float, Dynamic, Dynamic>;
  return {
      entry("linear", [](Index width) { return DynamicLinear(width, width); }),
      entry("sequential(lstm, lstm, linear)",
            [](Index width) {
              return Sequential(DynamicLstm(width, width), DynamicLstm(width, width), DynamicLinear(width, width));
            }),
      entry("residual(lstm)", [](Index width) { return Residual(DynamicLstm(width, width)); }),
      entry("bidirectional(lstm)",
            [](Index width) { return Bidirectional(DynamicLstm(width, width), DynamicLstm(width, width)); }),
  };
}
