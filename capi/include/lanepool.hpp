/*
 * lanepool for C++17: plans that destroy themselves, descriptions that are built in a chain, errors that are thrown.
 *
 * Header only, over lanepool.h. Every function that can fail throws lanepool::Error, which has the status and the sentence.
 * The guide is docs/c.md.
 */

#ifndef LANEPOOL_HPP
#define LANEPOOL_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <utility>

#include "lanepool.h"

namespace lanepool {

/* What went wrong: what() is the sentence, status() the number. */
class Error : public std::runtime_error {
public:
    Error(lanepool_status status, const std::string &sentence) : std::runtime_error(sentence), status_(status) {}

    lanepool_status status() const noexcept { return status_; }

private:
    lanepool_status status_;
};

namespace detail {

/* Calls f with memory for a sentence, and throws it if there is one. */
template <class F> void check(F &&f) {
    std::array<char, 512> memory{};
    lanepool_text text{memory.data(), memory.size(), 0};
    const lanepool_status status = f(&text);
    if (status != LANEPOOL_OK) {
        const char *sentence = memory[0] != 0 ? memory.data() : lanepool_status_message(status);
        throw Error(status, sentence);
    }
}

/* Calls f, which writes a text of any length. */
template <class F> std::string text(F &&f) {
    std::string told(64, '\0');
    for (;;) {
        lanepool_text text{&told[0], told.size(), 0};
        const lanepool_status status = f(&text);
        if (text.needed > told.size()) {
            told.assign(text.needed, '\0');
            continue;
        }
        told.resize(text.needed == 0 ? 0 : text.needed - 1);
        if (status != LANEPOOL_OK) {
            throw Error(status, told);
        }
        return told;
    }
}

} // namespace detail

/* Memory that is read: a pointer with a number of elements, or anything with data() and size(). */
struct In {
    const void *data = nullptr;
    std::size_t bytes = 0;

    In() = default;
    template <class T> In(const T *first, std::size_t count) : data(first), bytes(count * sizeof(T)) {}
    template <class C, class = decltype(std::declval<const C &>().data()), class = decltype(std::declval<const C &>().size())>
    In(const C &of) : In(of.data(), of.size()) {}
};

/* Memory that is written. */
struct Out {
    void *data = nullptr;
    std::size_t bytes = 0;

    Out() = default;
    template <class T> Out(T *first, std::size_t count) : data(first), bytes(count * sizeof(T)) {}
    template <class C, class = decltype(std::declval<C &>().data()), class = decltype(std::declval<C &>().size())>
    Out(C &of) : Out(of.data(), of.size()) {}
};

/* A layer and its tensor. What is not set has its default. */
class Desc {
public:
    using Axes = std::initializer_list<std::int64_t>;

    /* An operation such as LANEPOOL_MAX of an element such as LANEPOOL_F32. */
    Desc(std::int32_t operation, std::int32_t element) {
        detail::check([&](lanepool_text *) { return lanepool_desc_init(&raw_, sizeof raw_); });
        raw_.operation = operation;
        raw_.element = element;
    }

    /* N, C, spatial, whatever the layout. */
    Desc &shape(Axes shape) {
        if (shape.size() > 5) {
            throw Error(LANEPOOL_GEOMETRY, "the shape has more than 5 axes");
        }
        raw_.spatial_axes = static_cast<std::int32_t>(shape.size()) - 2;
        return copy(raw_.shape, shape);
    }

    Desc &nhwc() { return set(raw_.layout, LANEPOOL_NHWC); }
    Desc &blocked(std::int64_t block) { raw_.block = block; return set(raw_.layout, LANEPOOL_BLOCKED); }
    Desc &kernel(Axes lengths) { return copy(raw_.kernel, lengths); }
    Desc &global() { return set(raw_.global, 1); }
    Desc &stride(Axes lengths) { return copy(raw_.stride, lengths); }
    Desc &dilation(Axes lengths) { return copy(raw_.dilation, lengths); }
    Desc &padding(Axes both) { copy(raw_.pad_begin, both); return copy(raw_.pad_end, both); }
    Desc &padding(Axes begin, Axes end) { copy(raw_.pad_begin, begin); return copy(raw_.pad_end, end); }
    Desc &same_upper() { return set(raw_.padding, LANEPOOL_PAD_SAME_UPPER); }
    Desc &same_lower() { return set(raw_.padding, LANEPOOL_PAD_SAME_LOWER); }
    Desc &valid() { return set(raw_.padding, LANEPOOL_PAD_VALID); }
    Desc &allow_empty_windows() { return set(raw_.allow_empty_windows, 1); }
    Desc &ceil_mode(std::int32_t rule = LANEPOOL_CEIL_STARTS_INSIDE) { raw_.ceil_rule = rule; return set(raw_.ceil_mode, 1); }
    Desc &ignore_nan() { return set(raw_.nan_policy, LANEPOOL_NAN_IGNORE); }
    Desc &round_half_away() { return set(raw_.rounding, LANEPOOL_ROUND_HALF_AWAY); }
    Desc &count_include_pad() { return set(raw_.divide_by, LANEPOOL_DIVIDE_BY_PADDED); }
    Desc &divisor(std::int64_t divisor) { raw_.divisor = divisor; return set(raw_.divide_by, LANEPOOL_DIVIDE_BY_DIVISOR); }
    Desc &indices(std::int32_t type, std::int32_t kind = LANEPOOL_INDEX_PLANE) { raw_.index_kind = kind; return set(raw_.index_type, type); }
    Desc &tier(std::int32_t tier) { return set(raw_.tier, tier); }
    Desc &norm(double p, bool mean = false) { raw_.p = p; return set(raw_.mean, mean ? 1 : 0); }
    Desc &clamp(double low, double high) { raw_.clamp_low = low; raw_.clamp_high = high; return set(raw_.clamp, 1); }
    Desc &backward() { return set(raw_.direction, LANEPOOL_BACKWARD); }

    /* The output's lengths: of adaptive and fractional pooling, and of max unpooling. */
    Desc &output(Axes lengths) {
        raw_.output_is_given = raw_.operation == LANEPOOL_MAX_UNPOOL ? 1 : 0;
        return copy(raw_.output, lengths);
    }

    /* Longer lengths to which max unpooling pads its output. */
    Desc &padded_output(Axes lengths) { raw_.output_is_padded = 1; return copy(raw_.padded_output, lengths); }

    /* Tensors that are parts of larger ones: elements from one index of each axis of the shape to the next. Gradients and indices lie as
     * lanepool.h says. */
    Desc &strides(Axes input, Axes output) {
        raw_.strided = 1;
        copy(raw_.input_strides, input);
        return copy(raw_.output_strides, output);
    }

    Desc &quantization(float input_scale, std::int32_t input_zero, float output_scale, std::int32_t output_zero) {
        raw_.input_scale = input_scale;
        raw_.input_zero_point = input_zero;
        raw_.output_scale = output_scale;
        raw_.output_zero_point = output_zero;
        return *this;
    }

    /* What a plan would tell, without one: the output's shape, the bytes of every buffer, the
     * padding. Strides are not asked for. */
    lanepool_info info() const {
        lanepool_info info;
        detail::check([&](lanepool_text *error) { return lanepool_desc_info(&raw_, &info, sizeof info, error); });
        return info;
    }

    /* The structure itself, for fields that have no function here. */
    lanepool_desc &raw() noexcept { return raw_; }
    const lanepool_desc &raw() const noexcept { return raw_; }

private:
    Desc &set(std::int32_t &field, std::int32_t value) {
        field = value;
        return *this;
    }

    template <std::size_t N> Desc &copy(std::int64_t (&field)[N], Axes numbers) {
        if (numbers.size() > N) {
            throw Error(LANEPOOL_GEOMETRY, "more numbers than there are axes");
        }
        std::size_t place = 0;
        for (const std::int64_t number : numbers) {
            field[place++] = number;
        }
        return *this;
    }

    lanepool_desc raw_;
};

/* A layer planned for tensors of one shape. Its constant functions may be called by many threads at a time. */
class Plan {
public:
    explicit Plan(const Desc &desc) {
        detail::check([&](lanepool_text *error) { return lanepool_plan_create(&desc.raw(), &plan_, error); });
    }

    /* A copy shares what the plan is made of. */
    Plan(const Plan &other) {
        detail::check([&](lanepool_text *error) { return lanepool_plan_clone(other.plan_, &plan_, error); });
    }

    Plan(Plan &&other) noexcept : plan_(std::exchange(other.plan_, nullptr)) {}

    Plan &operator=(Plan other) noexcept {
        std::swap(plan_, other.plan_);
        return *this;
    }

    ~Plan() { lanepool_plan_destroy(plan_); }

    lanepool_info info() const {
        lanepool_info info;
        detail::check([&](lanepool_text *error) { return lanepool_plan_info(plan_, &info, sizeof info, error); });
        return info;
    }

    std::string describe() const {
        return detail::text([&](lanepool_text *text) { return lanepool_plan_describe(plan_, text); });
    }

    std::string kernel() const {
        return detail::text([&](lanepool_text *text) { return lanepool_plan_kernel(plan_, text); });
    }

    void run(In src, Out dst) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_run(plan_, src.data, src.bytes, dst.data, dst.bytes, error);
        });
    }

    void run_with_indices(In src, Out dst, Out indices) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_run_with_indices(plan_, src.data, src.bytes, dst.data, dst.bytes, indices.data,
                                                  indices.bytes, error);
        });
    }

    void run_indices(In src, Out indices) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_run_indices(plan_, src.data, src.bytes, indices.data, indices.bytes, error);
        });
    }

    void run_fractional(In src, In samples, Out dst, Out indices = Out()) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_run_fractional(plan_, src.data, src.bytes, samples.data, samples.bytes, dst.data,
                                                dst.bytes, indices.data, indices.bytes, error);
        });
    }

    void unpool(In src, In indices, Out dst) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_unpool(plan_, src.data, src.bytes, indices.data, indices.bytes, dst.data, dst.bytes,
                                        error);
        });
    }

    void backward(In grad_output, Out grad_input) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_backward(plan_, grad_output.data, grad_output.bytes, grad_input.data, grad_input.bytes,
                                          error);
        });
    }

    void backward_max(In grad_output, In indices, Out grad_input) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_backward_max(plan_, grad_output.data, grad_output.bytes, indices.data, indices.bytes,
                                              grad_input.data, grad_input.bytes, error);
        });
    }

    /* `Out()` for the indices of those who do not want them. */
    void backward_max_from_input(In input, In grad_output, Out indices, Out grad_input) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_backward_max_from_input(plan_, input.data, input.bytes, grad_output.data,
                                                         grad_output.bytes, indices.data, indices.bytes,
                                                         grad_input.data, grad_input.bytes, error);
        });
    }

    void backward_lp(In input, In output, In grad_output, Out grad_input) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_backward_lp(plan_, input.data, input.bytes, output.data, output.bytes,
                                             grad_output.data, grad_output.bytes, grad_input.data, grad_input.bytes,
                                             error);
        });
    }

    /* Into how many tasks the output is cut if it should be at most `most`. */
    std::size_t tasks(std::size_t most) const noexcept { return lanepool_plan_tasks(plan_, most); }

    void run_task(std::size_t tasks, std::size_t task, In src, Out dst, Out indices = Out()) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_run_task(plan_, tasks, task, src.data, src.bytes, dst.data, dst.bytes, indices.data,
                                          indices.bytes, error);
        });
    }

    void run_parallel(In src, Out dst, Out indices = Out()) const {
        detail::check([&](lanepool_text *error) {
            return lanepool_plan_run_parallel(plan_, src.data, src.bytes, dst.data, dst.bytes, indices.data,
                                              indices.bytes, error);
        });
    }

    const lanepool_plan *raw() const noexcept { return plan_; }

private:
    lanepool_plan *plan_ = nullptr;
};

/* Why this machine cannot run a tier; empty where it can. */
inline std::string tier_missing(std::int32_t tier) {
    try {
        return detail::text([&](lanepool_text *why) { return lanepool_tier_missing(tier, why); });
    } catch (const Error &error) {
        if (error.status() != LANEPOOL_TIER_UNAVAILABLE) {
            throw;
        }
        return error.what();
    }
}

/* Throws where this machine does not give the published bits. */
inline void selftest(std::int32_t tier = LANEPOOL_TIER_BEST) {
    detail::check([&](lanepool_text *error) { return lanepool_selftest(tier, error); });
}

} // namespace lanepool

#endif
