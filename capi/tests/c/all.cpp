/*
 * Calls every function of lanepool.hpp from C++17. `scripts/capi` compiles it outside the tree.
 */

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include <lanepool.hpp>

namespace {

using lanepool::Desc;
using lanepool::Plan;
using Floats = std::vector<float>;

void check(bool is_so, const char *what, int line) {
    if (!is_so) {
        std::fprintf(stderr, "%s:%d: %s\n", __FILE__, line, what);
        std::exit(1);
    }
}

#define CHECK(...) check((__VA_ARGS__), #__VA_ARGS__, __LINE__)

/* Windows of 2 that move by 2 over one line. */
Desc pairs(std::int32_t operation, std::int64_t length, std::int32_t element = LANEPOOL_F32) {
    return Desc(operation, element).shape({1, 1, length}).kernel({2}).stride({2});
}

template <class F> lanepool_status thrown(F &&f) {
    try {
        f();
    } catch (const lanepool::Error &error) {
        CHECK(*error.what() != 0);
        return error.status();
    }
    return LANEPOOL_OK;
}

void plans() {
    const Floats x{1, 3, 2, 2, 7, 0};
    Floats y(3);
    Plan plan(pairs(LANEPOOL_MAX, 6));
    plan.run(x, y);
    CHECK(y == Floats{3, 2, 7});
    CHECK(plan.info().output_bytes == 12 && plan.describe().rfind("max f32", 0) == 0 && !plan.kernel().empty());

    Plan copy(plan);
    Plan moved(std::move(plan));
    copy = moved;
    copy = Plan(pairs(LANEPOOL_AVG, 6).clamp(0, 3));
    copy.run(lanepool::In(x.data(), x.size()), lanepool::Out(y.data(), y.size()));
    CHECK(y == Floats{2, 2, 3});
    moved.run(x, y);
    CHECK(y == Floats{3, 2, 7} && moved.raw() != nullptr);

    CHECK(thrown([&] { Plan(pairs(LANEPOOL_MAX, 1)); }) == LANEPOOL_GEOMETRY);
    Floats short_one(2);
    CHECK(thrown([&] { moved.run(x, short_one); }) == LANEPOOL_LENGTH);
    CHECK(thrown([&] { Desc(LANEPOOL_MAX, LANEPOOL_F32).kernel({1, 2, 3, 4}); }) == LANEPOOL_GEOMETRY);
    CHECK(thrown([&] { Desc(LANEPOOL_MAX, LANEPOOL_F32).shape({1, 2, 3, 4, 5, 6}); }) == LANEPOOL_GEOMETRY);
}

void operations() {
    const Floats x{1, 3, 2, 2, 7, 0};
    Floats y(3);
    std::vector<std::int32_t> at(3);
    Plan max(pairs(LANEPOOL_MAX, 6).indices(LANEPOOL_INDEX_I32));
    max.run_with_indices(x, y, at);
    CHECK(y == Floats{3, 2, 7} && at == std::vector<std::int32_t>{1, 2, 4});
    at.assign(3, -7);
    max.run_indices(x, at);
    CHECK(at == std::vector<std::int32_t>{1, 2, 4});

    Plan(pairs(LANEPOOL_LP, 6).norm(1)).run(x, y);
    CHECK(y == Floats{4, 4, 7});
    Plan(pairs(LANEPOOL_AVG, 6).divisor(4).tier(LANEPOOL_TIER_SCALAR)).run(x, y);
    CHECK(y == Floats{1, 1, 1.75F});
    Plan(Desc(LANEPOOL_ADAPTIVE_MAX, LANEPOOL_F32).shape({1, 1, 6}).output({3}).ignore_nan()).run(x, y);
    CHECK(y == Floats{3, 2, 7});

    const Floats seven{1, 2, 3, 4, 0, 5, 6}, sample{0.5F};
    Plan(Desc(LANEPOOL_FRACTIONAL_MAX, LANEPOOL_F32).shape({1, 1, 7}).kernel({2}).output({3})).run_fractional(seven, sample, y);
    CHECK(y == Floats{2, 4, 6});

    const std::vector<std::int8_t> bytes{-3, 7, 120, 0};
    std::vector<std::int8_t> largest(2);
    Plan(pairs(LANEPOOL_QUANTIZED_MAX, 4, LANEPOOL_I8).quantization(0.5F, 0, 0.25F, -100)).run(bytes, largest);
    CHECK(largest == std::vector<std::int8_t>{-86, 127});

    const Floats pooled{1, 2, 3};
    Floats unpooled(7, 9.0F);
    const std::vector<std::int32_t> to{0, 3, 5};
    const auto unpool = [&](Desc desc) { Plan(desc.indices(LANEPOOL_INDEX_I32)).unpool(pooled, to, unpooled); };
    unpool(Desc(LANEPOOL_MAX_UNPOOL, LANEPOOL_F32).shape({1, 1, 3}).output({7}));
    CHECK(unpooled == Floats{1, 0, 0, 2, 0, 3, 0});
    unpool(pairs(LANEPOOL_MAX_UNPOOL, 3).padded_output({7}));
    CHECK(unpooled == Floats{1, 0, 0, 2, 0, 3, 0});

    Floats dx(4);
    Plan(pairs(LANEPOOL_AVG, 4).stride({1}).backward()).backward(Floats{2, 4, 6}, dx);
    CHECK(dx == Floats{1, 3, 5, 3});
    Plan back(pairs(LANEPOOL_MAX, 4).stride({1}).backward().indices(LANEPOOL_INDEX_I32));
    back.backward_max(Floats{1, 2, 4}, std::vector<std::int32_t>{1, 1, 2}, dx);
    CHECK(dx == Floats{0, 3, 4, 0});
    back.backward_max_from_input(Floats{5, 7, 6, 6}, Floats{1, 2, 4}, at, dx);
    CHECK(dx == Floats{0, 3, 4, 0} && at == std::vector<std::int32_t>{1, 1, 2});
    dx.assign(4, 9.0F);
    back.backward_max_from_input(Floats{5, 7, 6, 6}, Floats{1, 2, 4}, lanepool::Out(), dx);
    CHECK(dx == Floats{0, 3, 4, 0});
    Plan(pairs(LANEPOOL_LP, 4).backward()).backward_lp(Floats{3, 4, 0, 0}, Floats{5, 0}, Floats{10, 1}, dx);
    CHECK(dx == Floats{6, 8, 0, 0});
}

/* The second of two channels, channels last, into the first of three. */
void strides() {
    const Floats x{1, 9, 3, 9, 2, 9, 2, 9, 7, 9, 0};
    Floats y(7, -1);
    std::vector<std::int32_t> at(7, -7);
    Desc desc = pairs(LANEPOOL_MAX, 6).nhwc().strides({12, 1, 2}, {9, 1, 3});
    Plan(desc).run(x, y);
    CHECK(y == Floats{3, -1, -1, 2, -1, -1, 7});
    Plan(desc.indices(LANEPOOL_INDEX_I32, LANEPOOL_INDEX_PLANE)).run_with_indices(x, y, at);
    CHECK(at == std::vector<std::int32_t>{1, -7, -7, 2, -7, -7, 4});
}

void windows() {
    const Floats x(2 * 16 * 9 * 9, 1.0F);
    Desc base = Desc(LANEPOOL_AVG, LANEPOOL_F32).shape({2, 16, 9, 9}).kernel({3, 3});
    const auto rows = [&](Desc desc) {
        const Plan plan(desc);
        Floats y(plan.info().output_bytes / sizeof(float));
        plan.run(x, y);
        return plan.info().output_shape[2];
    };
    CHECK(rows(base) == 7);
    CHECK(rows(Desc(base).nhwc().padding({1, 1}).count_include_pad()) == 9);
    CHECK(rows(Desc(base).blocked(8).padding({0, 1}, {2, 1}).stride({2, 2}).ceil_mode()) == 5);
    CHECK(rows(Desc(base).dilation({2, 1}).valid()) == 5);
    CHECK(rows(Desc(base).same_upper().stride({2, 2})) == 5 && rows(Desc(base).same_lower().round_half_away()) == 9);
    CHECK(rows(Desc(base).padding({3, 0}).allow_empty_windows()) == 13);
    const lanepool_info info = Desc(base).same_lower().stride({4, 2}).info();
    CHECK(info.output_shape[2] == 3 && info.output_shape[3] == 5 && info.output_bytes == 2 * 16 * 3 * 5 * sizeof(float));
    CHECK(info.pad_begin[0] == 1 && info.pad_end[0] == 1 && info.pad_begin[1] == 1 && info.pad_end[1] == 1);
    CHECK(thrown([&] { Desc(base).kernel({0, 1}).info(); }) == LANEPOOL_GEOMETRY);
    CHECK(rows(Desc(LANEPOOL_AVG, LANEPOOL_F32).shape({2, 16, 9, 9}).global()) == 1);
    base.raw().kernel[0] = 9;
    CHECK(rows(base) == 1);
}

void threads() {
    const Plan plan(Desc(LANEPOOL_SUM, LANEPOOL_F32).shape({3, 17, 40, 41}).kernel({3, 2}).stride({2, 1}));
    Floats x(plan.info().input_bytes / sizeof(float));
    for (std::size_t i = 0; i < x.size(); i++) {
        x[i] = static_cast<float>(i % 251);
    }
    Floats whole(plan.info().output_bytes / sizeof(float)), parts(whole.size()), parallel(whole.size());
    plan.run(x, whole);
    const std::size_t tasks = plan.tasks(6);
    CHECK(tasks > 1 && tasks <= 6);
    std::vector<std::thread> started;
    for (std::size_t task = 0; task < tasks; task++) {
        started.emplace_back([&, task] { plan.run_task(tasks, task, x, parts); });
    }
    for (std::thread &thread : started) {
        thread.join();
    }
    CHECK(parts == whole);
    const lanepool_status status = thrown([&] { plan.run_parallel(x, parallel); });
    CHECK(status == LANEPOOL_UNSUPPORTED || (status == LANEPOOL_OK && parallel == whole));
}

} // namespace

int main() {
    plans();
    operations();
    strides();
    windows();
    threads();
    lanepool::selftest();
    CHECK(lanepool::tier_missing(LANEPOOL_TIER_SCALAR).empty());
    CHECK(thrown([] { lanepool::tier_missing(99); }) == LANEPOOL_UNKNOWN_VALUE);
    CHECK(lanepool_version() == (LANEPOOL_VERSION_MAJOR << 16 | LANEPOOL_VERSION_MINOR << 8 | LANEPOOL_VERSION_PATCH));
    std::printf("lanepool %s from C++ on %s: every function did what it says\n", lanepool_version_string(),
                lanepool_tier_name(lanepool_tier_best()));
    return 0;
}
