/*
 * lanepool: pooling kernels for inference engines. The guide is docs/c.md.
 *
 * Made by scripts/capi-header from the Rust sources: do not edit.
 */

#ifndef LANEPOOL_H
#define LANEPOOL_H

#include <stddef.h>
#include <stdint.h>

/**
 * A layer planned for tensors of one shape: made by lanepool_plan_create, run many times, by many threads at a time.
 */
typedef struct lanepool_plan lanepool_plan;

/**
 * The version of this header: the first number.
 */
#define LANEPOOL_VERSION_MAJOR 0

/**
 * The version of this header: the second number.
 */
#define LANEPOOL_VERSION_MINOR 1

/**
 * The version of this header: the third number.
 */
#define LANEPOOL_VERSION_PATCH 0

/**
 * The largest value of each window.
 */
#define LANEPOOL_MAX 1

/**
 * The smallest value of each window.
 */
#define LANEPOOL_MIN 2

/**
 * The mean of each window.
 */
#define LANEPOOL_AVG 3

/**
 * The sum of each window.
 */
#define LANEPOOL_SUM 4

/**
 * The p-norm of each window, or with `mean` its power mean: floats only.
 */
#define LANEPOOL_LP 5

/**
 * The mean of quantised bytes, with scales and zero points: u8 and i8; and i16 with one scale and zero points of 0.
 */
#define LANEPOOL_QUANTIZED_AVG 6

/**
 * The largest of quantised bytes, with scales and zero points: u8 and i8; and i16 with one scale and zero points of 0.
 */
#define LANEPOOL_QUANTIZED_MAX 7

/**
 * The largest value of windows that follow from the output's length.
 */
#define LANEPOOL_ADAPTIVE_MAX 8

/**
 * The mean of windows that follow from the output's length.
 */
#define LANEPOOL_ADAPTIVE_AVG 9

/**
 * The mean of quantised bytes of windows that follow from the output's length: u8 and i8; and i16 as above.
 */
#define LANEPOOL_ADAPTIVE_QUANTIZED_AVG 10

/**
 * The largest value of windows whose places follow from random samples.
 */
#define LANEPOOL_FRACTIONAL_MAX 11

/**
 * Values go back to where the indices of maxima say; zero elsewhere.
 */
#define LANEPOOL_MAX_UNPOOL 12

/**
 * The layer itself. The default.
 */
#define LANEPOOL_FORWARD 0

/**
 * From the gradient of the output to that of the input: floats only.
 */
#define LANEPOOL_BACKWARD 1

/**
 * `float`.
 */
#define LANEPOOL_F32 1

/**
 * `double`.
 */
#define LANEPOOL_F64 2

/**
 * IEEE 754 binary16.
 */
#define LANEPOOL_F16 3

/**
 * The upper half of a `float`.
 */
#define LANEPOOL_BF16 4

/**
 * `int8_t`.
 */
#define LANEPOOL_I8 5

/**
 * `uint8_t`.
 */
#define LANEPOOL_U8 6

/**
 * `int16_t`.
 */
#define LANEPOOL_I16 7

/**
 * `uint16_t`.
 */
#define LANEPOOL_U16 8

/**
 * `int32_t`.
 */
#define LANEPOOL_I32 9

/**
 * `uint32_t`.
 */
#define LANEPOOL_U32 10

/**
 * `int64_t`: maxima and minima, no sums or averages.
 */
#define LANEPOOL_I64 11

/**
 * `uint64_t`: maxima and minima, no sums or averages.
 */
#define LANEPOOL_U64 12

/**
 * Channels first: N, C, spatial. The default.
 */
#define LANEPOOL_NCHW 0

/**
 * Channels last: N, spatial, C.
 */
#define LANEPOOL_NHWC 1

/**
 * Channels in blocks of the field `block`: N, C / block, spatial, block.
 */
#define LANEPOOL_BLOCKED 2

/**
 * The fields `pad_begin` and `pad_end`. The default.
 */
#define LANEPOOL_PAD_EXPLICIT 0

/**
 * No padding.
 */
#define LANEPOOL_PAD_VALID 1

/**
 * As much as makes the output ceil(input / stride) long; the odd element goes to the end.
 */
#define LANEPOOL_PAD_SAME_UPPER 2

/**
 * The same; the odd element goes to the beginning.
 */
#define LANEPOOL_PAD_SAME_LOWER 3

/**
 * Ceil mode drops windows that begin past the input (PyTorch, ONNX). The default.
 */
#define LANEPOOL_CEIL_STARTS_INSIDE 0

/**
 * Ceil mode keeps every window that the formula counts (ONNX's older text).
 */
#define LANEPOOL_CEIL_EVERY_WINDOW 1

/**
 * Any NaN of a window makes the output NaN. The default.
 */
#define LANEPOOL_NAN_PROPAGATE 0

/**
 * NaN is missing data: the output is NaN only where everything is.
 */
#define LANEPOOL_NAN_IGNORE 1

/**
 * Means of integers that lie between two of them go to the even one. The default.
 */
#define LANEPOOL_ROUND_HALF_TO_EVEN 0

/**
 * They go away from zero (TensorFlow Lite).
 */
#define LANEPOOL_ROUND_HALF_AWAY 1

/**
 * An average divides by the taps that lie in the input. The default.
 */
#define LANEPOOL_DIVIDE_BY_VALID 0

/**
 * It divides by the taps that lie in the input or in its padding.
 */
#define LANEPOOL_DIVIDE_BY_PADDED 1

/**
 * It divides by the field `divisor`.
 */
#define LANEPOOL_DIVIDE_BY_DIVISOR 2

/**
 * No indices. The default.
 */
#define LANEPOOL_INDEX_NONE 0

/**
 * Indices are `int32_t`.
 */
#define LANEPOOL_INDEX_I32 1

/**
 * Indices are `int64_t`.
 */
#define LANEPOOL_INDEX_I64 2

/**
 * An index is the offset in its own plane, row-major (PyTorch). The default.
 */
#define LANEPOOL_INDEX_PLANE 0

/**
 * The offset in the tensor N, C, spatial, row-major, whatever the layout (ONNX, storage order 0).
 */
#define LANEPOOL_INDEX_TENSOR 1

/**
 * The same with each plane column-major (ONNX, storage order 1).
 */
#define LANEPOOL_INDEX_TENSOR_COLUMN_MAJOR 2

/**
 * The number of the tap in its window, row-major.
 */
#define LANEPOOL_INDEX_TAP 3

/**
 * The offset in the image spatial, C of the batch, channels moving fastest, whatever the layout (TensorFlow's argmax).
 */
#define LANEPOOL_INDEX_IMAGE_CHANNELS_LAST 4

/**
 * The offset in the tensor N, spatial, C, whatever the layout (TensorFlow's argmax with include_batch_in_index).
 */
#define LANEPOOL_INDEX_TENSOR_CHANNELS_LAST 5

/**
 * The widest tier that this machine has, capped by the environment variable LANEPOOL_MAX_TIER. The default.
 */
#define LANEPOOL_TIER_BEST 0

/**
 * One element at a time.
 */
#define LANEPOOL_TIER_SCALAR 1

/**
 * What the compilation target guarantees.
 */
#define LANEPOOL_TIER_PORTABLE 2

/**
 * AArch64 NEON.
 */
#define LANEPOOL_TIER_NEON 3

/**
 * x86-64 AVX2 and F16C.
 */
#define LANEPOOL_TIER_AVX2 4

/**
 * x86-64 AVX-512 F, BW, DQ, VL and VBMI.
 */
#define LANEPOOL_TIER_AVX512 5

/**
 * The largest number of spatial axes.
 */
#define LANEPOOL_MAX_AXES 3

/**
 * What a call came to: `LANEPOOL_OK` or one of the other statuses.
 */
typedef int32_t lanepool_status;

/**
 * A layer and its tensor. `lanepool_desc_init` fills in the defaults; then set what differs.
 *
 * Every array has a number for each spatial axis, in the order of the shape (depth, height, width); of the entries only the first
 * `spatial_axes` count. What an operation does not know must keep its default.
 *
 * The structure may grow at its end. `struct_size` says which fields the caller knows, the others have their defaults.
 */
typedef struct lanepool_desc {
    /**
     * `sizeof(lanepool_desc)`, set by `lanepool_desc_init`.
     */
    uint64_t struct_size;
    /**
     * `LANEPOOL_MAX` and the others. No default.
     */
    int32_t operation;
    /**
     * `LANEPOOL_FORWARD` or `LANEPOOL_BACKWARD`.
     */
    int32_t direction;
    /**
     * `LANEPOOL_F32` and the others. No default.
     */
    int32_t element;
    /**
     * `LANEPOOL_NCHW`, `LANEPOOL_NHWC` or `LANEPOOL_BLOCKED`.
     */
    int32_t layout;
    /**
     * Channels of a block, with `LANEPOOL_BLOCKED`. 0 otherwise.
     */
    int64_t block;
    /**
     * Spatial axes: 1, 2 or 3. 2 by default.
     */
    int32_t spatial_axes;
    /**
     * 1: one window, the whole plane, without any other attribute of a window.
     */
    int32_t global;
    /**
     * The input's shape N, C, spatial, whatever the layout. For max unpooling the pooled tensor's.
     */
    int64_t shape[5];
    /**
     * The window's lengths. No default.
     */
    int64_t kernel[3];
    /**
     * How far the window moves. 1 by default.
     */
    int64_t stride[3];
    /**
     * The distance of two taps. 1 by default.
     */
    int64_t dilation[3];
    /**
     * Padding before each axis, with `LANEPOOL_PAD_EXPLICIT`.
     */
    int64_t pad_begin[3];
    /**
     * Padding after each axis, with `LANEPOOL_PAD_EXPLICIT`.
     */
    int64_t pad_end[3];
    /**
     * `LANEPOOL_PAD_EXPLICIT` and the others.
     */
    int32_t padding;
    /**
     * 1: padding may be as long as the window.
     */
    int32_t allow_empty_windows;
    /**
     * 1: the output's length is rounded up.
     */
    int32_t ceil_mode;
    /**
     * `LANEPOOL_CEIL_STARTS_INSIDE` or `LANEPOOL_CEIL_EVERY_WINDOW`.
     */
    int32_t ceil_rule;
    /**
     * `LANEPOOL_NAN_PROPAGATE` or `LANEPOOL_NAN_IGNORE`, for maxima and minima.
     */
    int32_t nan_policy;
    /**
     * `LANEPOOL_ROUND_HALF_TO_EVEN` or `LANEPOOL_ROUND_HALF_AWAY`, for averages of integers.
     */
    int32_t rounding;
    /**
     * `LANEPOOL_INDEX_NONE`, `LANEPOOL_INDEX_I32` or `LANEPOOL_INDEX_I64`, for maxima, minima and max unpooling.
     */
    int32_t index_type;
    /**
     * `LANEPOOL_INDEX_PLANE` and the others.
     */
    int32_t index_kind;
    /**
     * `LANEPOOL_TIER_BEST`, or a tier that must run. Fractional pooling, unpooling and backward
     * passes have the same code on every tier: they take any that this machine has.
     */
    int32_t tier;
    /**
     * What an average divides by: `LANEPOOL_DIVIDE_BY_VALID` and the others.
     */
    int32_t divide_by;
    /**
     * The divisor, with `LANEPOOL_DIVIDE_BY_DIVISOR`. 0 otherwise.
     */
    int64_t divisor;
    /**
     * The output's lengths: of adaptive and fractional pooling, and of max unpooling with `output_is_given`.
     */
    int64_t output[3];
    /**
     * Longer lengths to which max unpooling pads its output, with `output_is_padded`.
     */
    int64_t padded_output[3];
    /**
     * 1: max unpooling has the lengths `output`. 0: those that follow from kernel, stride and padding.
     */
    int32_t output_is_given;
    /**
     * 1: max unpooling pads its output to `padded_output`.
     */
    int32_t output_is_padded;
    /**
     * The norm's p, of `LANEPOOL_LP`. 2 by default.
     */
    double p;
    /**
     * 1: the norm is a power mean.
     */
    int32_t mean;
    /**
     * 1: every output is kept between `clamp_low` and `clamp_high`.
     */
    int32_t clamp;
    /**
     * The least output.
     */
    double clamp_low;
    /**
     * The largest output.
     */
    double clamp_high;
    /**
     * The scale of the input's elements, of quantised operations. 1 by default.
     */
    float input_scale;
    /**
     * The element of the input that stands for 0; 0 for i16.
     */
    int32_t input_zero_point;
    /**
     * The scale of the output's elements; the input's for i16. 1 by default.
     */
    float output_scale;
    /**
     * The element of the output that stands for 0; 0 for i16.
     */
    int32_t output_zero_point;
    /**
     * 1: input and output lie where `input_strides` and `output_strides` say, as parts of larger tensors. 0: side by side.
     */
    int32_t strided;
    /**
     * 0.
     */
    int32_t reserved;
    /**
     * Elements from one index of an axis of the shape to the next. Channels last, channels lie side by side (1); in blocks, the
     * stride of the channels is that from one block to the next. The stride of an axis with one index does not matter.
     *
     * The gradient of the input lies as the input does, and so do the indices of max unpooling.
     */
    int64_t input_strides[5];
    /**
     * The same of the output, its gradient, and the indices of all but max unpooling.
     *
     * Elements of what is written lie apart from each other and in the order of the layout, and nothing is written between them; those
     * of what is read lie in any order, or on one another. A backward plan writes the gradient of the input, and of a maximum or
     * minimum indices.
     */
    int64_t output_strides[5];
} lanepool_desc;

/**
 * Memory for a text, of the caller's: a sentence about an error, or a description.
 *
 * What does not fit is cut off at the end of a character. The text always ends with a zero byte, unless `bytes` is 0.
 */
typedef struct lanepool_text {
    /**
     * Where the text is written, in UTF-8. May be null where `bytes` is 0.
     */
    char *data;
    /**
     * Bytes that there are for the text and its zero byte.
     */
    size_t bytes;
    /**
     * Written by the library: bytes that the whole text needs, its zero byte included.
     */
    size_t needed;
} lanepool_text;

/**
 * What a plan tells of itself: see `lanepool_plan_info`, and `lanepool_desc_info` for what one would tell.
 *
 * The shapes are N, C, spatial, whatever the layout; entries beyond `spatial_axes + 2` are 0. In a backward plan the input is that of the
 * layer, and its gradient, which is written; the output is that of the layer, and its gradient, which is read.
 */
typedef struct lanepool_info {
    /**
     * Bytes of this structure that the library knows.
     */
    uint64_t struct_size;
    /**
     * Bytes of the input.
     */
    uint64_t input_bytes;
    /**
     * Bytes of the output.
     */
    uint64_t output_bytes;
    /**
     * Bytes of the buffer of indices; 0 for a plan without.
     */
    uint64_t index_bytes;
    /**
     * Bytes of the random samples, in the element's own type, float for integers; 0 for a plan that is not fractional.
     */
    uint64_t sample_bytes;
    /**
     * The input's shape.
     */
    int64_t input_shape[5];
    /**
     * The output's shape.
     */
    int64_t output_shape[5];
    /**
     * Spatial axes.
     */
    int32_t spatial_axes;
    /**
     * `LANEPOOL_F32` and the others.
     */
    int32_t element;
    /**
     * `LANEPOOL_NCHW` and the others.
     */
    int32_t layout;
    /**
     * `LANEPOOL_INDEX_NONE` and the others.
     */
    int32_t index_type;
    /**
     * Channels of a block, with `LANEPOOL_BLOCKED`; 0 otherwise.
     */
    int64_t block;
    /**
     * `LANEPOOL_INDEX_PLANE` and the others; 0 for a plan without indices.
     */
    int32_t index_kind;
    /**
     * The tier that it runs on, or `LANEPOOL_TIER_BEST` where all have the same code.
     */
    int32_t tier;
    /**
     * Padding before each spatial axis: what was given, or what `LANEPOOL_PAD_SAME_UPPER` and its like came to.
     */
    int64_t pad_begin[3];
    /**
     * Padding after each spatial axis. What ceil mode adds is none.
     */
    int64_t pad_end[3];
} lanepool_info;

/**
 * Done.
 */
#define LANEPOOL_OK 0

/**
 * A pointer that must point to something is null.
 */
#define LANEPOOL_NULL_POINTER 1

/**
 * A pointer is not a multiple of the alignment of what it points to.
 */
#define LANEPOOL_MISALIGNED 2

/**
 * An output shares memory with an input or with another output.
 */
#define LANEPOOL_OVERLAP 3

/**
 * A buffer is not exactly as long as the plan needs.
 */
#define LANEPOOL_LENGTH 4

/**
 * A size does not fit the address space.
 */
#define LANEPOOL_SIZE_OVERFLOW 5

/**
 * A number is none of the values that its field has.
 */
#define LANEPOOL_UNKNOWN_VALUE 6

/**
 * The size of a structure is none that this library can read.
 */
#define LANEPOOL_STRUCT_SIZE 7

/**
 * The window does not fit the shape, or one of them is no window or no shape.
 */
#define LANEPOOL_GEOMETRY 8

/**
 * A number of the operation's is out of its range: divisor, norm, bounds, scale or zero point.
 */
#define LANEPOOL_BAD_NUMBER 9

/**
 * An index names no place, or its type cannot hold every place.
 */
#define LANEPOOL_BAD_INDEX 10

/**
 * A random sample is below 0, not below 1, or NaN.
 */
#define LANEPOOL_BAD_SAMPLE 11

/**
 * The sums of integers may not fit their accumulator.
 */
#define LANEPOOL_SUM_OVERFLOW 12

/**
 * This machine cannot run the tier.
 */
#define LANEPOOL_TIER_UNAVAILABLE 13

/**
 * There is no such combination of operation, element and attributes.
 */
#define LANEPOOL_UNSUPPORTED 14

/**
 * The function does not run plans of this kind.
 */
#define LANEPOOL_WRONG_FUNCTION 15

/**
 * There is no such task.
 */
#define LANEPOOL_BAD_TASK 16

/**
 * The pointer does not point to a plan, or the plan was destroyed.
 */
#define LANEPOOL_BAD_PLAN 17

/**
 * This machine does not give the published bits.
 */
#define LANEPOOL_SELFTEST_FAILED 18

/**
 * A mistake of the library's own.
 */
#define LANEPOOL_INTERNAL 19

/**
 * A run that needs memory of its own, which is said of it, could not have it.
 */
#define LANEPOOL_OUT_OF_MEMORY 20

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * `LANEPOOL_VERSION_MAJOR << 16 | LANEPOOL_VERSION_MINOR << 8 | LANEPOOL_VERSION_PATCH` of the library that runs, which need not be
 * that of the header.
 */
uint32_t lanepool_version(void);

/**
 * The version of the library that runs, as a text that lives for ever.
 */
const char *lanepool_version_string(void);

/**
 * The fixed sentence of a status: a text that lives for ever. Of an unknown number too.
 */
const char *lanepool_status_message(lanepool_status status);

/**
 * Fills a description with the defaults. `desc_bytes` is `sizeof(lanepool_desc)` of the header that the caller was compiled with.
 */
lanepool_status lanepool_desc_init(struct lanepool_desc *desc,
                                   size_t desc_bytes);

/**
 * Plans a layer. On success `*plan` is a plan, to be destroyed by `lanepool_plan_destroy`; otherwise it is null.
 *
 * `error` may be null. Otherwise the sentence that says what is wrong is written there, and on success an empty one.
 */
lanepool_status lanepool_plan_create(const struct lanepool_desc *desc,
                                     lanepool_plan **plan,
                                     struct lanepool_text *error);

/**
 * Writes to `*info` what a plan of the description would tell: the output's shape, the bytes of
 * every buffer, the padding. A plan is made for it and thrown away, so that whatever is wrong is
 * said here too, and a call is as dear as `lanepool_plan_create`.
 *
 * Strides are not asked for: `strided` is taken for 0, so that they can be made from the shapes.
 * The bytes are those of tensors side by side.
 */
lanepool_status lanepool_desc_info(const struct lanepool_desc *desc,
                                   struct lanepool_info *info,
                                   size_t info_bytes,
                                   struct lanepool_text *error);

/**
 * Makes another plan that is the same and is destroyed by itself. Cheap: they share what they are made of.
 */
lanepool_status lanepool_plan_clone(const lanepool_plan *plan, lanepool_plan **clone, struct lanepool_text *error);

/**
 * Destroys a plan. Null is fine. No call may be using the plan, and none may use it afterwards.
 */
void lanepool_plan_destroy(lanepool_plan *plan);

/**
 * Writes the shapes, sizes and properties of a plan to `*info`. `info_bytes` is `sizeof(lanepool_info)` of the header that the caller was
 * compiled with.
 */
lanepool_status lanepool_plan_info(const lanepool_plan *plan,
                                   struct lanepool_info *info,
                                   size_t info_bytes,
                                   struct lanepool_text *error);

/**
 * Writes a description of a plan for logs, such as "max f32 nchw 3x3/2+1 -> rows, avx2" with a real arrow. Null for `text` is an error.
 */
lanepool_status lanepool_plan_describe(const lanepool_plan *plan,
                                       struct lanepool_text *text);

/**
 * Writes the name of the driver that visits a plan's windows, such as "rows". Null for `text` is an error.
 */
lanepool_status lanepool_plan_kernel(const lanepool_plan *plan, struct lanepool_text *text);

/**
 * Pools `src` into `dst`. For plans without indices and samples.
 */
lanepool_status lanepool_plan_run(const lanepool_plan *plan,
                                  const void *src,
                                  size_t src_bytes,
                                  void *dst,
                                  size_t dst_bytes,
                                  struct lanepool_text *error);

/**
 * Pools `src` into `dst` and writes where each value was found to `indices`. For plans with indices.
 */
lanepool_status lanepool_plan_run_with_indices(const lanepool_plan *plan,
                                               const void *src,
                                               size_t src_bytes,
                                               void *dst,
                                               size_t dst_bytes,
                                               void *indices,
                                               size_t indices_bytes,
                                               struct lanepool_text *error);

/**
 * Writes where the maxima or minima of `src` are, and not what they are. For plans of plain windows with indices.
 */
lanepool_status lanepool_plan_run_indices(const lanepool_plan *plan,
                                          const void *src,
                                          size_t src_bytes,
                                          void *indices,
                                          size_t indices_bytes,
                                          struct lanepool_text *error);

/**
 * Pools `src` into `dst` with windows where `samples` say: for fractional plans. A plan without indices takes null and 0 for them.
 *
 * The samples are N x C x spatial axes numbers from 0 to below 1, of the element's own type, float for integers, whatever the layout. Their
 * order is PyTorch's: width, height with two axes; depth, height, width with three.
 */
lanepool_status lanepool_plan_run_fractional(const lanepool_plan *plan,
                                             const void *src,
                                             size_t src_bytes,
                                             const void *samples,
                                             size_t samples_bytes,
                                             void *dst,
                                             size_t dst_bytes,
                                             void *indices,
                                             size_t indices_bytes,
                                             struct lanepool_text *error);

/**
 * Writes every value of `src` to `dst` where its index says, and zero everywhere else: for plans of max unpooling. Every index is looked
 * at before the first write.
 */
lanepool_status lanepool_plan_unpool(const lanepool_plan *plan,
                                     const void *src,
                                     size_t src_bytes,
                                     const void *indices,
                                     size_t indices_bytes,
                                     void *dst,
                                     size_t dst_bytes,
                                     struct lanepool_text *error);

/**
 * From the gradient of the output to that of the input: for backward plans of averages and sums.
 */
lanepool_status lanepool_plan_backward(const lanepool_plan *plan,
                                       const void *grad_output,
                                       size_t grad_output_bytes,
                                       void *grad_input,
                                       size_t grad_input_bytes,
                                       struct lanepool_text *error);

/**
 * The same for maxima and minima, from the indices that the forward pass gave. Every index is looked at before the first write.
 */
lanepool_status lanepool_plan_backward_max(const lanepool_plan *plan,
                                           const void *grad_output,
                                           size_t grad_output_bytes,
                                           const void *indices,
                                           size_t indices_bytes,
                                           void *grad_input,
                                           size_t grad_input_bytes,
                                           struct lanepool_text *error);

/**
 * The same from the input: the indices are found again, and written to `indices`. Those who do not
 * want them give null and 0; the library then takes memory for them for the length of the call, or
 * gives `LANEPOOL_OUT_OF_MEMORY`.
 */
lanepool_status lanepool_plan_backward_max_from_input(const lanepool_plan *plan,
                                                      const void *input,
                                                      size_t input_bytes,
                                                      const void *grad_output,
                                                      size_t grad_output_bytes,
                                                      void *indices,
                                                      size_t indices_bytes,
                                                      void *grad_input,
                                                      size_t grad_input_bytes,
                                                      struct lanepool_text *error);

/**
 * The same for norms and power means, which need the layer's input and output as well.
 */
lanepool_status lanepool_plan_backward_lp(const lanepool_plan *plan,
                                          const void *input,
                                          size_t input_bytes,
                                          const void *output,
                                          size_t output_bytes,
                                          const void *grad_output,
                                          size_t grad_output_bytes,
                                          void *grad_input,
                                          size_t grad_input_bytes,
                                          struct lanepool_text *error);

/**
 * Into how many tasks the output is cut if it should be at most `most`: what `lanepool_plan_run_task` takes for `tasks`. Any number of tasks
 * gives the same bytes. 0 where there is no output, and for what no task can run: fractional pooling, unpooling, backward passes, no plan.
 */
size_t lanepool_plan_tasks(const lanepool_plan *plan,
                           size_t most);

/**
 * Computes task number `task` of `tasks`, counted from 0. The buffers are the whole ones; only the task's own part of the outputs is
 * written, so that several threads may run the tasks of one output at a time, in any order. `tasks` is what `lanepool_plan_tasks` gave.
 *
 * A plan without indices takes null and 0 for them; one with indices may take null and 0 for `dst`, if its windows are plain.
 */
lanepool_status lanepool_plan_run_task(const lanepool_plan *plan,
                                       size_t tasks,
                                       size_t task,
                                       const void *src,
                                       size_t src_bytes,
                                       void *dst,
                                       size_t dst_bytes,
                                       void *indices,
                                       size_t indices_bytes,
                                       struct lanepool_text *error);

/**
 * Runs a plan on several threads of the library's own. The same bytes as on one. The buffers are those of `lanepool_plan_run_task`.
 *
 * For a library with the feature `rayon`; another one gives `LANEPOOL_UNSUPPORTED`. A layer too small to gain runs on the calling thread,
 * as do all in a child process that was forked after a parallel run, whose threads are its parent's.
 */
lanepool_status lanepool_plan_run_parallel(const lanepool_plan *plan,
                                           const void *src,
                                           size_t src_bytes,
                                           void *dst,
                                           size_t dst_bytes,
                                           void *indices,
                                           size_t indices_bytes,
                                           struct lanepool_text *error);

/**
 * The name of a tier, such as "avx2": a text that lives for ever. Null for a number that is no tier's.
 */
const char *lanepool_tier_name(int32_t tier);

/**
 * The tier that a plan takes when none is forced: the widest one that this machine has, capped by the environment variable
 * LANEPOOL_MAX_TIER.
 */
int32_t lanepool_tier_best(void);

/**
 * `LANEPOOL_OK` where this machine can run a tier; otherwise `LANEPOOL_TIER_UNAVAILABLE`, and why not is written to `why`, which may be
 * null.
 */
lanepool_status lanepool_tier_missing(int32_t tier,
                                      struct lanepool_text *why);

/**
 * Runs small layers of every kind and element on a tier and compares their bits with the published ones: a tenth of a second. Otherwise
 * `LANEPOOL_SELFTEST_FAILED`, with the elements that differ.
 */
lanepool_status lanepool_selftest(int32_t tier,
                                  struct lanepool_text *error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LANEPOOL_H */
