/*
 * Calls every function of lanepool.h from C99, and looks at every result. `scripts/capi` compiles it outside the tree.
 *
 * Threads of its own run the tasks of one output; a child that was forked after a parallel run pools again.
 */

#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <lanepool.h>

static char memory[1024];

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n    the last sentence: %s\n", __FILE__, __LINE__, #condition, memory); \
            exit(1); \
        } \
    } while (0)

#define SAME(got, ...) \
    do { \
        const float want[] = {__VA_ARGS__}; \
        CHECK(sizeof want == sizeof(got) && memcmp(got, want, sizeof want) == 0); \
    } while (0)

/* Memory for a sentence. */
static lanepool_text *told(void) {
    static lanepool_text text;
    memset(memory, 0x55, sizeof memory);
    text.data = memory;
    text.bytes = sizeof memory;
    return &text;
}

/* One plane with one spatial axis: windows of 2 that move by 2. */
static lanepool_desc pairs(int32_t operation, int32_t element, int64_t length) {
    lanepool_desc desc;
    CHECK(lanepool_desc_init(&desc, sizeof desc) == LANEPOOL_OK);
    desc.operation = operation;
    desc.element = element;
    desc.spatial_axes = 1;
    desc.shape[0] = 1;
    desc.shape[1] = 1;
    desc.shape[2] = length;
    desc.kernel[0] = 2;
    desc.stride[0] = 2;
    return desc;
}

/* A plan of an operation that has no window. */
static lanepool_desc lengths(int32_t operation, int32_t element, int64_t length, int64_t output) {
    lanepool_desc desc = pairs(operation, element, length);
    desc.kernel[0] = 0;
    desc.stride[0] = 1;
    desc.output[0] = output;
    return desc;
}

static lanepool_plan *planned(lanepool_desc desc) {
    lanepool_plan *plan = NULL;
    CHECK(lanepool_plan_create(&desc, &plan, told()) == LANEPOOL_OK);
    CHECK(plan != NULL && memory[0] == 0);
    return plan;
}

static void versions_and_tiers(void) {
    const uint32_t header = LANEPOOL_VERSION_MAJOR << 16 | LANEPOOL_VERSION_MINOR << 8 | LANEPOOL_VERSION_PATCH;
    CHECK(lanepool_version() == header);
    CHECK(strchr(lanepool_version_string(), '.') != NULL);
    CHECK(strcmp(lanepool_status_message(LANEPOOL_OK), "done") == 0);
    CHECK(lanepool_status_message(12345) != NULL);
    CHECK(strcmp(lanepool_tier_name(LANEPOOL_TIER_SCALAR), "scalar") == 0);
    CHECK(lanepool_tier_name(99) == NULL);
    CHECK(lanepool_tier_best() >= LANEPOOL_TIER_PORTABLE);
    CHECK(lanepool_tier_missing(LANEPOOL_TIER_SCALAR, told()) == LANEPOOL_OK);
    CHECK(lanepool_tier_missing(99, NULL) == LANEPOOL_UNKNOWN_VALUE);
    CHECK(lanepool_selftest(LANEPOOL_TIER_BEST, told()) == LANEPOOL_OK);
    for (int32_t tier = LANEPOOL_TIER_SCALAR; tier <= LANEPOOL_TIER_AVX512; tier++) {
        const lanepool_status missing = lanepool_tier_missing(tier, told());
        lanepool_desc desc = pairs(LANEPOOL_MAX, LANEPOOL_F32, 6);
        lanepool_plan *plan = NULL;
        desc.tier = tier;
        CHECK(lanepool_plan_create(&desc, &plan, told()) == missing);
        CHECK((plan == NULL) == (missing == LANEPOOL_TIER_UNAVAILABLE));
        lanepool_plan_destroy(plan);
    }
}

static void operations(void) {
    const float x[6] = {1, 3, 2, 2, 7, 0};
    const struct {
        int32_t operation;
        float want[3];
    } rows[] = {
        {LANEPOOL_MAX, {3, 2, 7}}, {LANEPOOL_MIN, {1, 2, 0}}, {LANEPOOL_AVG, {2, 2, 3.5F}}, {LANEPOOL_SUM, {4, 4, 7}},
    };
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        float y[3] = {9, 9, 9};
        lanepool_plan *plan = planned(pairs(rows[row].operation, LANEPOOL_F32, 6));
        CHECK(lanepool_plan_run(plan, x, sizeof x, y, sizeof y, told()) == LANEPOOL_OK);
        CHECK(memcmp(y, rows[row].want, sizeof y) == 0);
        lanepool_plan_destroy(plan);
    }

    lanepool_desc norm = pairs(LANEPOOL_LP, LANEPOOL_F32, 6);
    norm.p = INFINITY;
    norm.clamp = 1;
    norm.clamp_low = 0;
    norm.clamp_high = 6;
    lanepool_plan *plan = planned(norm);
    float y[3] = {9, 9, 9};
    CHECK(lanepool_plan_run(plan, x, sizeof x, y, sizeof y, NULL) == LANEPOOL_OK);
    SAME(y, 3, 2, 6);
    lanepool_plan_destroy(plan);

    const uint8_t bytes[4] = {160, 208, 64, 128};
    uint8_t averages[2] = {9, 9};
    lanepool_desc quantized = pairs(LANEPOOL_QUANTIZED_AVG, LANEPOOL_U8, 4);
    quantized.input_scale = 1.0F / 128;
    quantized.input_zero_point = 128;
    quantized.output_scale = 1.0F / 255;
    plan = planned(quantized);
    CHECK(lanepool_plan_run(plan, bytes, sizeof bytes, averages, sizeof averages, told()) == LANEPOOL_OK);
    CHECK(averages[0] == 112 && averages[1] == 0);
    lanepool_plan_destroy(plan);

    const uint64_t longs[4] = {UINT64_MAX, 1, (UINT64_C(1) << 63) - 1, UINT64_C(1) << 63};
    uint64_t extremes[2] = {9, 9};
    plan = planned(pairs(LANEPOOL_MAX, LANEPOOL_U64, 4));
    CHECK(lanepool_plan_run(plan, longs, sizeof longs, extremes, sizeof extremes, told()) == LANEPOOL_OK);
    CHECK(extremes[0] == UINT64_MAX && extremes[1] == UINT64_C(1) << 63);
    lanepool_plan_destroy(plan);
    plan = planned(pairs(LANEPOOL_MIN, LANEPOOL_I64, 4));
    CHECK(lanepool_plan_run(plan, longs, sizeof longs, extremes, sizeof extremes, told()) == LANEPOOL_OK);
    CHECK(extremes[0] == UINT64_MAX && extremes[1] == UINT64_C(1) << 63);
    lanepool_plan_destroy(plan);

    const float nine[9] = {3, 3, 3, 0, 0, 0, 6, 6, 6};
    plan = planned(lengths(LANEPOOL_ADAPTIVE_AVG, LANEPOOL_F32, 9, 3));
    CHECK(lanepool_plan_run(plan, nine, sizeof nine, y, sizeof y, told()) == LANEPOOL_OK);
    SAME(y, 3, 0, 6);
    CHECK(lanepool_plan_tasks(plan, 8) == 1);
    CHECK(lanepool_plan_run_task(plan, 1, 0, nine, sizeof nine, y, sizeof y, NULL, 0, told()) == LANEPOOL_OK);
    SAME(y, 3, 0, 6);
    lanepool_plan_destroy(plan);
}

static void indices(void) {
    const float x[7] = {1, 3, 2, 2, 7, 0, -1};
    float y[3] = {9, 9, 9};
    int64_t at[3] = {-7, -7, -7};
    lanepool_desc desc = pairs(LANEPOOL_MAX, LANEPOOL_F32, 7);
    desc.index_type = LANEPOOL_INDEX_I64;
    lanepool_plan *plan = planned(desc);
    CHECK(lanepool_plan_run_with_indices(plan, x, sizeof x, y, sizeof y, at, sizeof at, told()) == LANEPOOL_OK);
    SAME(y, 3, 2, 7);
    CHECK(at[0] == 1 && at[1] == 2 && at[2] == 4);
    memset(at, 0x55, sizeof at);
    CHECK(lanepool_plan_run_indices(plan, x, sizeof x, at, sizeof at, told()) == LANEPOOL_OK);
    CHECK(at[0] == 1 && at[1] == 2 && at[2] == 4);
    CHECK(lanepool_plan_run(plan, x, sizeof x, y, sizeof y, told()) == LANEPOOL_WRONG_FUNCTION);
    CHECK(strstr(memory, "lanepool_plan_run_with_indices") != NULL);
    lanepool_plan_destroy(plan);

    const float seven[7] = {1, 2, 3, 4, 0, 5, 6};
    const float sample = 0.5F;
    int32_t where[3] = {-7, -7, -7};
    desc = lengths(LANEPOOL_FRACTIONAL_MAX, LANEPOOL_F32, 7, 3);
    desc.kernel[0] = 2;
    desc.index_type = LANEPOOL_INDEX_I32;
    plan = planned(desc);
    CHECK(lanepool_plan_run_fractional(plan, seven, sizeof seven, &sample, sizeof sample, y, sizeof y, where, sizeof where,
                                       told()) == LANEPOOL_OK);
    SAME(y, 2, 4, 6);
    CHECK(where[0] == 1 && where[1] == 3 && where[2] == 6);
    lanepool_plan_destroy(plan);

    const float three[3] = {1, 2, 3};
    const int32_t to[3] = {0, 3, 5}, beyond[3] = {0, 3, 6};
    float unpooled[6] = {9, 9, 9, 9, 9, 9};
    desc = pairs(LANEPOOL_MAX_UNPOOL, LANEPOOL_F32, 3);
    desc.index_type = LANEPOOL_INDEX_I32;
    plan = planned(desc);
    CHECK(lanepool_plan_unpool(plan, three, sizeof three, beyond, sizeof beyond, unpooled, sizeof unpooled, told()) ==
          LANEPOOL_BAD_INDEX);
    SAME(unpooled, 9, 9, 9, 9, 9, 9);
    CHECK(lanepool_plan_unpool(plan, three, sizeof three, to, sizeof to, unpooled, sizeof unpooled, told()) == LANEPOOL_OK);
    SAME(unpooled, 1, 0, 0, 2, 0, 3);
    lanepool_plan_destroy(plan);
}

/* The second of two channels, channels last, into the first of three: values, indices, and their way back. */
static void strides(void) {
    const float x[11] = {1, 9, 3, 9, 2, 9, 2, 9, 7, 9, 0};
    float y[7] = {-1, -1, -1, -1, -1, -1, -1};
    int32_t at[7] = {-7, -7, -7, -7, -7, -7, -7};
    lanepool_desc desc = pairs(LANEPOOL_MAX, LANEPOOL_F32, 6);
    desc.layout = LANEPOOL_NHWC;
    desc.index_type = LANEPOOL_INDEX_I32;
    desc.strided = 1;
    desc.input_strides[2] = 2;
    desc.output_strides[2] = 3;
    lanepool_plan *plan = planned(desc);
    CHECK(lanepool_plan_run_with_indices(plan, x, sizeof x, y, sizeof y, at, sizeof at, told()) == LANEPOOL_OK);
    SAME(y, 3, -1, -1, 2, -1, -1, 7);
    CHECK(at[0] == 1 && at[1] == -7 && at[2] == -7 && at[3] == 2 && at[4] == -7 && at[5] == -7 && at[6] == 4);
    lanepool_plan_destroy(plan);

    float dx[11] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    desc.direction = LANEPOOL_BACKWARD;
    plan = planned(desc);
    CHECK(lanepool_plan_backward_max(plan, y, sizeof y, at, sizeof at, dx, sizeof dx, told()) == LANEPOOL_OK);
    SAME(dx, 0, -1, 3, -1, 2, -1, 0, -1, 7, -1, 0);
    lanepool_plan_destroy(plan);

    /* Indices are written, so they have a place each. */
    desc.output_strides[2] = 0;
    plan = NULL;
    CHECK(lanepool_plan_create(&desc, &plan, told()) == LANEPOOL_GEOMETRY && plan == NULL);
    CHECK(strstr(memory, "axis 2 (width)") != NULL);
}

static void gradients(void) {
    lanepool_desc desc = pairs(LANEPOOL_AVG, LANEPOOL_F32, 4);
    desc.direction = LANEPOOL_BACKWARD;
    desc.stride[0] = 1;
    const float dy[3] = {2, 4, 6};
    float dx[4] = {9, 9, 9, 9};
    lanepool_plan *plan = planned(desc);
    CHECK(lanepool_plan_backward(plan, dy, sizeof dy, dx, sizeof dx, told()) == LANEPOOL_OK);
    SAME(dx, 1, 3, 5, 3);
    lanepool_plan_destroy(plan);

    desc.operation = LANEPOOL_MAX;
    desc.index_type = LANEPOOL_INDEX_I32;
    const float of_max[3] = {1, 2, 4}, x[4] = {5, 7, 6, 6};
    const int32_t at[3] = {1, 1, 2};
    int32_t found[3] = {-7, -7, -7};
    plan = planned(desc);
    CHECK(lanepool_plan_backward_max(plan, of_max, sizeof of_max, at, sizeof at, dx, sizeof dx, told()) == LANEPOOL_OK);
    SAME(dx, 0, 3, 4, 0);
    memset(dx, 0x55, sizeof dx);
    CHECK(lanepool_plan_backward_max_from_input(plan, x, sizeof x, of_max, sizeof of_max, found, sizeof found, dx, sizeof dx,
                                                told()) == LANEPOOL_OK);
    SAME(dx, 0, 3, 4, 0);
    CHECK(memcmp(found, at, sizeof at) == 0);
    memset(dx, 0x55, sizeof dx);
    CHECK(lanepool_plan_backward_max_from_input(plan, x, sizeof x, of_max, sizeof of_max, NULL, 0, dx, sizeof dx, told()) ==
          LANEPOOL_OK);
    SAME(dx, 0, 3, 4, 0);
    lanepool_plan_destroy(plan);

    desc = pairs(LANEPOOL_LP, LANEPOOL_F32, 4);
    desc.direction = LANEPOOL_BACKWARD;
    const float input[4] = {3, 4, 0, 0}, output[2] = {5, 0}, gradient[2] = {10, 1};
    plan = planned(desc);
    CHECK(lanepool_plan_backward_lp(plan, input, sizeof input, output, sizeof output, gradient, sizeof gradient, dx, sizeof dx,
                                    told()) == LANEPOOL_OK);
    SAME(dx, 6, 8, 0, 0);
    lanepool_plan_destroy(plan);
}

static void what_a_plan_tells(void) {
    lanepool_plan *plan = planned(pairs(LANEPOOL_MAX, LANEPOOL_F32, 6)), *clone = NULL;
    lanepool_info info;
    CHECK(lanepool_plan_info(plan, &info, sizeof info, told()) == LANEPOOL_OK);
    CHECK(info.struct_size == sizeof info && info.input_bytes == 24 && info.output_bytes == 12);
    CHECK(info.spatial_axes == 1 && info.output_shape[2] == 3 && info.element == LANEPOOL_F32);
    CHECK(info.tier == lanepool_tier_best() && info.index_type == LANEPOOL_INDEX_NONE);
    CHECK(lanepool_plan_describe(plan, told()) == LANEPOOL_OK);
    CHECK(strncmp(memory, "max f32 nchw 2/2", 16) == 0);
    CHECK(lanepool_plan_kernel(plan, told()) == LANEPOOL_OK && strlen(memory) > 3);

    /* A clone outlives the plan; to destroy nothing is fine. */
    CHECK(lanepool_plan_clone(plan, &clone, told()) == LANEPOOL_OK);
    lanepool_plan_destroy(plan);
    const float x[6] = {1, 3, 2, 2, 7, 0};
    float y[3] = {9, 9, 9};
    CHECK(lanepool_plan_run(clone, x, sizeof x, y, sizeof y, told()) == LANEPOOL_OK);
    SAME(y, 3, 2, 7);
    lanepool_plan_destroy(clone);
    lanepool_plan_destroy(NULL);
}

/* Columns three apart: the output's strides come of a shape that is told before there is a plan. */
static void what_a_description_tells(void) {
    lanepool_desc desc = pairs(LANEPOOL_MAX, LANEPOOL_F32, 5);
    desc.padding = LANEPOOL_PAD_SAME_UPPER;
    lanepool_info info;
    CHECK(lanepool_desc_info(&desc, &info, sizeof info, told()) == LANEPOOL_OK);
    CHECK(info.output_shape[2] == 3 && info.output_bytes == 12 && info.pad_begin[0] == 0 && info.pad_end[0] == 1);
    desc.strided = 1;
    CHECK(lanepool_desc_info(&desc, &info, sizeof info, told()) == LANEPOOL_OK && info.output_bytes == 12);
    desc.input_strides[2] = 1;
    desc.output_strides[0] = desc.output_strides[1] = 3 * info.output_shape[2];
    desc.output_strides[2] = 3;
    lanepool_plan *plan = planned(desc);
    const float x[5] = {1, 3, 2, 2, 7};
    float y[7] = {9, 9, 9, 9, 9, 9, 9};
    CHECK(lanepool_plan_run(plan, x, sizeof x, y, sizeof y, told()) == LANEPOOL_OK);
    SAME(y, 3, 9, 9, 2, 9, 9, 7);
    lanepool_plan_destroy(plan);
    desc.kernel[0] = 0;
    CHECK(lanepool_desc_info(&desc, &info, sizeof info, told()) == LANEPOOL_GEOMETRY);
}

static void mistakes(void) {
    lanepool_plan *plan = (lanepool_plan *)memory;
    lanepool_desc bad = pairs(LANEPOOL_MAX, LANEPOOL_F32, 1);
    CHECK(lanepool_plan_create(&bad, &plan, told()) == LANEPOOL_GEOMETRY && plan == NULL);
    CHECK(strcmp(memory, "the window 2 is larger than the padded input 1 on axis 2 (width)") == 0);
    CHECK(lanepool_plan_create(NULL, &plan, told()) == LANEPOOL_NULL_POINTER);
    bad.struct_size = 0;
    CHECK(lanepool_plan_create(&bad, &plan, told()) == LANEPOOL_STRUCT_SIZE);

    float x[6] = {1, 3, 2, 2, 7, 0}, y[4] = {9, 9, 9, 9};
    plan = planned(pairs(LANEPOOL_MAX, LANEPOOL_F32, 6));
    CHECK(lanepool_plan_run(NULL, x, sizeof x, y, 12, told()) == LANEPOOL_NULL_POINTER);
    CHECK(lanepool_plan_run(plan, NULL, sizeof x, y, 12, told()) == LANEPOOL_NULL_POINTER);
    CHECK(lanepool_plan_run(plan, x, 20, y, 12, told()) == LANEPOOL_LENGTH);
    CHECK(lanepool_plan_run(plan, x, sizeof x, y, 16, told()) == LANEPOOL_LENGTH);
    CHECK(lanepool_plan_run(plan, x, sizeof x, x + 3, 12, told()) == LANEPOOL_OVERLAP);
    CHECK(lanepool_plan_run(plan, x, sizeof x, (char *)y + 2, 12, told()) == LANEPOOL_MISALIGNED);
    CHECK(lanepool_plan_run(plan, x, (size_t)-1, y, 12, told()) == LANEPOOL_SIZE_OVERFLOW);
    SAME(y, 9, 9, 9, 9);
    /* A text of one byte is an empty one; one of no bytes says how long it would be. */
    char one = 'x';
    lanepool_text text = {&one, 1, 0};
    CHECK(lanepool_plan_run(plan, x, 20, y, 12, &text) == LANEPOOL_LENGTH && one == 0 && text.needed > 20);
    lanepool_text none = {NULL, 0, 0};
    CHECK(lanepool_plan_run(plan, x, 20, y, 12, &none) == LANEPOOL_LENGTH && none.needed == text.needed);
    lanepool_plan_destroy(plan);
}

/* A larger layer, for tasks. */
enum { CHANNELS = 64, HEIGHT = 65, WIDTH = 67, OUT_HEIGHT = 33, OUT_WIDTH = 34 };
static float input[CHANNELS * HEIGHT * WIDTH];
static float whole[CHANNELS * OUT_HEIGHT * OUT_WIDTH];
static float parts[CHANNELS * OUT_HEIGHT * OUT_WIDTH];

static lanepool_plan *large(void) {
    lanepool_desc desc = pairs(LANEPOOL_AVG, LANEPOOL_F32, HEIGHT);
    desc.layout = LANEPOOL_NHWC;
    desc.spatial_axes = 2;
    desc.shape[1] = CHANNELS;
    desc.shape[3] = WIDTH;
    for (int axis = 0; axis < 2; axis++) {
        desc.kernel[axis] = 3;
        desc.stride[axis] = 2;
        desc.pad_begin[axis] = desc.pad_end[axis] = 1;
    }
    for (size_t i = 0; i < sizeof input / sizeof *input; i++) {
        input[i] = (float)(i * 97 % 251) * 0.375F;
    }
    return planned(desc);
}

enum { THREADS = 4 };

struct share {
    const lanepool_plan *plan;
    size_t tasks, first;
};

static void *work(void *argument) {
    const struct share *share = argument;
    for (size_t task = share->first; task < share->tasks; task += THREADS) {
        const lanepool_status status = lanepool_plan_run_task(share->plan, share->tasks, task, input, sizeof input, parts,
                                                              sizeof parts, NULL, 0, NULL);
        if (status != LANEPOOL_OK) {
            return (void *)lanepool_status_message(status);
        }
    }
    return NULL;
}

static void threads(void) {
    lanepool_plan *plan = large();
    pthread_t started[THREADS];
    struct share shares[THREADS];
    CHECK(lanepool_plan_run(plan, input, sizeof input, whole, sizeof whole, told()) == LANEPOOL_OK);
    memset(parts, 0x55, sizeof parts);
    const size_t tasks = lanepool_plan_tasks(plan, 13);
    CHECK(tasks > THREADS && tasks <= 13);
    for (size_t i = 0; i < THREADS; i++) {
        shares[i].plan = plan;
        shares[i].tasks = tasks;
        shares[i].first = i;
        CHECK(pthread_create(&started[i], NULL, work, &shares[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = NULL;
        CHECK(pthread_join(started[i], &failed) == 0 && failed == NULL);
    }
    CHECK(memcmp(parts, whole, sizeof whole) == 0);
    CHECK(lanepool_plan_run_task(plan, tasks, tasks, input, sizeof input, parts, sizeof parts, NULL, 0, told()) ==
          LANEPOOL_BAD_TASK);
    lanepool_plan_destroy(plan);
}

/* A library with threads of its own, or one without. */
static void parallel(const lanepool_plan *plan) {
    memset(parts, 0x55, sizeof parts);
    const lanepool_status status =
        lanepool_plan_run_parallel(plan, input, sizeof input, parts, sizeof parts, NULL, 0, told());
    CHECK(status == LANEPOOL_OK || status == LANEPOOL_UNSUPPORTED);
    if (status == LANEPOOL_UNSUPPORTED) {
        CHECK(lanepool_plan_run(plan, input, sizeof input, parts, sizeof parts, told()) == LANEPOOL_OK);
    }
    CHECK(memcmp(parts, whole, sizeof whole) == 0);
}

static void after_fork(void) {
    lanepool_plan *plan = large();
    CHECK(lanepool_plan_run(plan, input, sizeof input, whole, sizeof whole, told()) == LANEPOOL_OK);
    parallel(plan);
    fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* Not for ever, if it waits for threads that it does not have. */
        alarm(120);
        parallel(plan);
        operations();
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    parallel(plan);
    lanepool_plan_destroy(plan);
}

/* A host that flushes subnormals gets them all the same, and finds its state as it was. */
static void float_state(void) {
#if defined(__x86_64__)
    const uint32_t bits[4] = {1, 0xbf800000, 1, 0};
    uint32_t y[2] = {9, 9};
    lanepool_plan *plan = planned(pairs(LANEPOOL_MAX, LANEPOOL_F32, 4));
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    /* An emulator may not keep every bit. */
    const unsigned flushing = _mm_getcsr();
    const lanepool_status status = lanepool_plan_run(plan, bits, sizeof bits, y, sizeof y, NULL);
    const unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    CHECK(status == LANEPOOL_OK && y[0] == 1 && y[1] == 1);
    CHECK(after == flushing);
    lanepool_plan_destroy(plan);
#endif
}

/* `without-fork`: for tools that ask a child for its parent's memory. */
int main(int count, char **arguments) {
    versions_and_tiers();
    operations();
    indices();
    strides();
    gradients();
    what_a_plan_tells();
    what_a_description_tells();
    mistakes();
    threads();
    if (count < 2 || strcmp(arguments[1], "without-fork") != 0) {
        after_fork();
    }
    float_state();
    printf("lanepool %s from C on %s: every function did what it says\n", lanepool_version_string(),
           lanepool_tier_name(lanepool_tier_best()));
    return 0;
}
