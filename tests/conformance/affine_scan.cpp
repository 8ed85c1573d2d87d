#include <array>
#include <conformance/session.hpp>
#include <stepscan/ops/affine_scan_backward.hpp>
#include <stepscan/ops/affine_scan_dense_backward.hpp>

/// affine_scan: h_t = a_t h_(t-1) + v_t, diagonal or dense, real or complex (two planes: .re and .im).
namespace conformance {

namespace {

using stepscan::MatrixView;
using stepscan::Planes;
using stepscan::ScanSchedule;
using stepscan::SequenceView;

/// One array per plane, and views of them as sequences [batch, time, features] or states [batch, features].
template <Scalar S, std::size_t P>
struct Arrays {
  Index batch = 0;
  Index time = 0;
  Index features = 0;
  std::array<std::vector<S>, P> planes;

  Arrays(Index members, Index tokens, Index width) : batch(members), time(tokens), features(width) {
    planes.fill(std::vector<S>(static_cast<std::size_t>(batch * time * features)));
  }

  [[nodiscard]] auto sequences() {
    return each([&](S* data) { return SequenceView<S>(data, batch, time, features); });
  }
  [[nodiscard]] auto inputs() {
    return each([&](S* data) { return SequenceView<const S>(data, batch, time, features); });
  }
  [[nodiscard]] auto states() {
    return each([&](S* data) { return MatrixView<S>(data, batch, features); });
  }
  [[nodiscard]] auto start() {
    return each([&](S* data) { return MatrixView<const S>(data, batch, features); });
  }

 private:
  template <class View>
  [[nodiscard]] auto each(View&& view) {
    Planes<decltype(view(static_cast<S*>(nullptr))), P> views;
    for (std::size_t k = 0; k < P; ++k) views[k] = view(planes[k].data());
    return views;
  }
};

template <std::size_t P>
std::string plane_name(const std::string& name, std::size_t plane) {
  return P == 1 ? name : name + (plane == 0 ? ".re" : ".im");
}

/// A tensor of the case; zeros when an optional one is not there.
template <Scalar S, std::size_t P>
void read(Case& golden, const std::string& name, const std::vector<Index>& shape, Arrays<S, P>& to,
          bool optional = false) {
  for (std::size_t k = 0; k < P; ++k) {
    const std::string plane = plane_name<P>(name, k);
    if (optional && !golden.has(plane)) continue;
    golden.require_shape(plane, shape);
    golden.read(plane, to.planes[k].data());
  }
}

template <Scalar S, std::size_t P>
void add(Results& results, const std::string& name, const Arrays<S, P>& arrays) {
  for (std::size_t k = 0; k < P; ++k) results.add(plane_name<P>(name, k), std::span<const S>(arrays.planes[k]));
}

template <Scalar S, std::size_t P, bool Dense>
class AffineCase {
 public:
  AffineCase(Case& golden, Index batch, Index time, Index size)
      : size_(size),
        columns_(Dense ? matrix_columns(golden) : 1),
        a_(batch, time, Dense ? size * size : size),
        v_(batch, time, size * columns_),
        start_(batch, 1, size * columns_),
        dh_(batch, time, size * columns_),
        dend_(batch, 1, size * columns_) {
    const std::vector<Index> token = Dense ? std::vector<Index>{size, columns_} : std::vector<Index>{size};
    const auto shape = [&](std::vector<Index> leading, const std::vector<Index>& rest) {
      leading.insert(leading.end(), rest.begin(), rest.end());
      return leading;
    };
    read(golden, "in/a", shape({batch, time}, Dense ? std::vector<Index>{size, size} : token), a_);
    read(golden, "in/v", shape({batch, time}, token), v_);
    read(golden, "in/state.h", shape({batch}, token), start_, true);
    read(golden, "cot/h", shape({batch, time}, token), dh_, true);
    read(golden, "cot/state.h", shape({batch}, token), dend_, true);
  }

  /// The outputs, and the gradients by the same schedule.
  Results run(const ScanSchedule& schedule) {
    stepscan::Workspace workspace;
    Arrays<S, P> h = v_, end = start_;
    scan(h, end, schedule, workspace);
    Arrays<S, P> da = a_, dv = v_, dstart = dend_;
    scan_backward(h, dstart, da, dv, schedule, workspace);
    Results results;
    add(results, "out/h", h);
    add(results, "out/state.h", end);
    add(results, "grad/in/a", da);
    add(results, "grad/in/v", dv);
    add(results, "grad/in/state.h", dstart);
    return results;
  }

 private:
  static Index matrix_columns(const Case& golden) {
    const std::vector<Index>& shape = golden.shape(plane_name<P>("in/v", 0));
    if (shape.size() != 4)
      stepscan::fail<ShapeError>("in/v: expected [batch, time, n, m], found " + stepscan::shape_text(shape));
    return shape[3];
  }

  void scan(Arrays<S, P>& h, Arrays<S, P>& end, const ScanSchedule& schedule, stepscan::Workspace& workspace) {
    if constexpr (Dense) {
      stepscan::affine_scan_dense<S, P>(size_, a_.inputs(), v_.inputs(), end.states(), h.sequences(), schedule,
                                        workspace);
    } else {
      stepscan::affine_scan<S, P>(a_.inputs(), v_.inputs(), end.states(), h.sequences(), schedule, workspace);
    }
  }
  void scan_backward(Arrays<S, P>& h, Arrays<S, P>& dstart, Arrays<S, P>& da, Arrays<S, P>& dv,
                     const ScanSchedule& schedule, stepscan::Workspace& workspace) {
    if constexpr (Dense) {
      stepscan::affine_scan_dense_backward<S, P>(size_, a_.inputs(), h.inputs(), start_.start(), dh_.inputs(),
                                                 dstart.states(), da.sequences(), dv.sequences(), schedule, workspace);
    } else {
      stepscan::affine_scan_backward<S, P>(a_.inputs(), h.inputs(), start_.start(), dh_.inputs(), dstart.states(),
                                           da.sequences(), dv.sequences(), schedule, workspace);
    }
  }

  Index size_;
  Index columns_;
  Arrays<S, P> a_, v_, start_, dh_, dend_;
};

struct Sizes {
  Index batch = 0;
  Index time = 0;
  Index size = 0;
};

template <Scalar S, std::size_t P, bool Dense>
void run_of(Case& golden, Session& session, const Sizes& sizes) {
  const std::vector<Index>& shape = golden.shape(plane_name<P>("in/a", 0));
  if (shape.size() < 3 || shape[0] != sizes.batch || shape[1] != sizes.time || shape[2] != sizes.size) {
    stepscan::fail<ShapeError>("in/a: expected [batch, time, state_size, ...] of " +
                               stepscan::shape_text({sizes.batch, sizes.time, sizes.size}) + ", found " +
                               stepscan::shape_text(shape));
  }
  AffineCase<S, P, Dense> affine(golden, sizes.batch, sizes.time, sizes.size);
  golden.check_all_read();
  const auto form = [&](const char* name, const std::vector<ScanSchedule>& schedules) {
    session.form(name, false, [&](const auto& compare) {
      for (const ScanSchedule& schedule : schedules) compare(affine.run(schedule), true);
    });
  };
  form("recurrent", {{1, false}});
  form("chunked", {{0, false}, {4, false}});
  form("parallel", {{0, true}, {1, true}, {4, true}});
}

template <Scalar S>
void run_case(Case& golden, Session& session) {
  Config& config = golden.config;
  const Sizes sizes{config.size("batch"), config.size("time"), config.size("state_size")};
  const bool dense = config.choice("transition", {"diagonal", "dense"}) == 1, complex = config.flag("complex");
  if (dense) {
    complex ? run_of<S, 2, true>(golden, session, sizes) : run_of<S, 1, true>(golden, session, sizes);
  } else {
    complex ? run_of<S, 2, false>(golden, session, sizes) : run_of<S, 1, false>(golden, session, sizes);
  }
}

}  // namespace

Family affine_scan_family() { return {"affine_scan", run_case<float>, run_case<double>}; }

}  // namespace conformance
