/*
 * ONNX Runtime's pooling operators on lanepool: a library of custom operators of the domain "lanepool".
 *
 * The attributes are those of ONNX, and mean what ONNX Runtime makes of them, also where its own text leaves that open. A kernel plans once
 * for each shape of its input; the threads are ONNX Runtime's. The guide is docs/onnxruntime.md.
 */

#include <lanepool.hpp>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>
#undef ORT_API_MANUAL_INIT

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <exception>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Numbers = std::vector<std::int64_t>;

struct Operator {
    const char *name;
    std::int32_t operation;
    bool global;
};

constexpr Operator OPERATORS[] = {
    {"MaxPool", LANEPOOL_MAX, false},       {"GlobalMaxPool", LANEPOOL_MAX, true},
    {"AveragePool", LANEPOOL_AVG, false},   {"GlobalAveragePool", LANEPOOL_AVG, true},
    {"LpPool", LANEPOOL_LP, false},         {"GlobalLpPool", LANEPOOL_LP, true},
};

struct Element {
    ONNXTensorElementDataType type;
    std::int32_t element;
    bool is_float;
};

constexpr Element ELEMENTS[] = {
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, LANEPOOL_F32, true},    {ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, LANEPOOL_F64, true},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, LANEPOOL_F16, true},  {ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, LANEPOOL_BF16, true},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, LANEPOOL_U8, false},    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, LANEPOOL_I8, false},
};

/* What is not as it must be. ONNX Runtime, or CreateKernelV2, says at which node. */
lanepool::Error wrong(const std::string &sentence) { return {LANEPOOL_GEOMETRY, sentence}; }

std::string attribute(const char *name) { return std::string("the attribute ") + name; }

/* The attributes of a node. One that has another type than it must have is an error, and not the same as none. */
class Attributes {
public:
    explicit Attributes(const OrtKernelInfo *node) : node_(node) {}

    std::optional<std::int64_t> integer(const char *name) const { return one<std::int64_t>(name, "an integer"); }

    std::optional<std::string> text(const char *name) const { return one<std::string>(name, "a text"); }

    bool flag(const char *name) const {
        const std::int64_t value = integer(name).value_or(0);
        if (value != 0 && value != 1) {
            throw wrong(attribute(name) + " is " + std::to_string(value) + ": it must be 0 or 1");
        }
        return value == 1;
    }

    /* An empty list is none. */
    Numbers list(const char *name) const {
        Numbers numbers = all<std::int64_t>(name);
        if (numbers.empty() && is_there(name)) {
            throw wrong(attribute(name) + " must be a list of integers");
        }
        return numbers;
    }

    /* A list that must have so many numbers if there is one. */
    Numbers list(const char *name, std::size_t count) const {
        Numbers numbers = list(name);
        if (!numbers.empty() && numbers.size() != count) {
            throw wrong(attribute(name) + " has the length " + std::to_string(numbers.size()) + ", not " + std::to_string(count));
        }
        return numbers;
    }

    /* None of these means anything here. */
    void refuse(std::initializer_list<const char *> names) const {
        for (const char *name : names) {
            if (is_there(name)) {
                throw wrong(std::string("this operator has no attribute ") + name);
            }
        }
    }

private:
    /* ONNX Runtime says no more than that there is no such attribute of that type; of lists, that it is empty. */
    template <class T> std::optional<T> get(const char *name) const {
        try {
            return node_.GetAttribute<T>(name);
        } catch (const Ort::Exception &) {
            return std::nullopt;
        }
    }

    template <class T> std::vector<T> all(const char *name) const {
        try {
            return node_.GetAttributes<T>(name);
        } catch (const Ort::Exception &) {
            return {};
        }
    }

    bool is_there(const char *name) const {
        return get<std::int64_t>(name) || get<float>(name) || get<std::string>(name) || !all<std::int64_t>(name).empty() ||
               !all<float>(name).empty();
    }

    template <class T> std::optional<T> one(const char *name, const char *type) const {
        std::optional<T> found = get<T>(name);
        if (!found && is_there(name)) {
            throw wrong(attribute(name) + " must be " + type);
        }
        return found;
    }

    Ort::ConstKernelInfo node_;
};

/* What a node says of its layer: a description that lacks the shape of the input, and what depends on it. */
class Layer {
public:
    Layer(const Operator &op, const Element &element, const OrtKernelInfo *node) : desc_(op.operation, element.element) {
        const Attributes attributes(node);
        lanepool_desc &desc = desc_.raw();
        if (op.global) {
            attributes.refuse({"kernel_shape", "strides", "pads", "dilations", "auto_pad", "ceil_mode"});
            desc.global = 1;
        } else {
            read_window(attributes);
        }

        if (op.operation == LANEPOOL_AVG && !op.global) {
            desc.divide_by = attributes.flag("count_include_pad") ? LANEPOOL_DIVIDE_BY_PADDED : LANEPOOL_DIVIDE_BY_VALID;
        } else {
            attributes.refuse({"count_include_pad"});
        }
        if (op.operation == LANEPOOL_LP) {
            desc.p = static_cast<double>(attributes.integer("p").value_or(2));
        } else {
            attributes.refuse({"p"});
        }
        if (op.operation == LANEPOOL_MAX && !op.global) {
            const bool column_major = attributes.flag("storage_order");
            if (has_indices(node)) {
                desc_.indices(LANEPOOL_INDEX_I64, column_major ? LANEPOOL_INDEX_TENSOR_COLUMN_MAJOR : LANEPOOL_INDEX_TENSOR);
            }
        } else {
            attributes.refuse({"storage_order"});
        }

        if (!op.global) {
            // What is wrong with any shape is wrong now: the session is not created. This shape has room for one window.
            Numbers shape{1, 1};
            for (std::size_t axis = 0; axis < axes_; axis++) {
                const std::int64_t taps = desc.kernel[axis], dilation = desc.dilation[axis];
                std::int64_t extent = 0;
                const bool is_long = __builtin_mul_overflow(taps - 1, dilation, &extent) || __builtin_add_overflow(extent, 1, &extent);
                shape.push_back(is_long ? taps : std::max<std::int64_t>(extent, 1));
            }
            plan(shape);
        }
    }

    lanepool::Plan plan(const Numbers &shape) const {
        lanepool::Desc planned = desc_;
        lanepool_desc &desc = planned.raw();
        constexpr std::size_t most = LANEPOOL_MAX_AXES + 2;
        if (shape.size() < 3 || shape.size() > most || (desc.global == 0 && shape.size() != axes_ + 2)) {
            const std::string need = desc.global == 0 ? std::to_string(axes_ + 2) : "3 to " + std::to_string(most);
            throw wrong("the input has " + std::to_string(shape.size()) + " axes, not " + need);
        }
        desc.spatial_axes = static_cast<std::int32_t>(shape.size() - 2);
        std::copy(shape.begin(), shape.end(), desc.shape);
        if (same_ != Same::No) {
            for (std::size_t axis = 0; axis < axes_; axis++) {
                pad_same(desc, axis);
            }
        }
        return lanepool::Plan(planned);
    }

private:
    enum class Same { No, Upper, Lower };

    void read_window(const Attributes &attributes) {
        lanepool_desc &desc = desc_.raw();
        const Numbers kernel = attributes.list("kernel_shape");
        axes_ = kernel.size();
        if (axes_ < 1 || axes_ > LANEPOOL_MAX_AXES) {
            throw wrong(attribute("kernel_shape") + " has the length " + std::to_string(axes_) + ", not 1 to 3");
        }
        desc.spatial_axes = static_cast<std::int32_t>(axes_);
        const auto read = [&](const char *name, std::int64_t *to) {
            const Numbers numbers = attributes.list(name, axes_);
            std::copy(numbers.begin(), numbers.end(), to);
        };
        read("kernel_shape", desc.kernel);
        read("strides", desc.stride);
        read("dilations", desc.dilation);
        desc.ceil_mode = attributes.flag("ceil_mode") ? 1 : 0;

        const Numbers pads = attributes.list("pads", 2 * axes_);
        const std::string auto_pad = attributes.text("auto_pad").value_or("NOTSET");
        if (auto_pad == "NOTSET" && !pads.empty()) {
            std::copy_n(pads.begin(), axes_, desc.pad_begin);
            std::copy_n(pads.begin() + static_cast<std::ptrdiff_t>(axes_), axes_, desc.pad_end);
        } else if (auto_pad == "SAME_UPPER") {
            same_ = Same::Upper;
        } else if (auto_pad == "SAME_LOWER") {
            same_ = Same::Lower;
        } else if (auto_pad != "NOTSET" && auto_pad != "VALID") {
            throw wrong(attribute("auto_pad") + " is \"" + auto_pad + "\": it must be NOTSET, SAME_UPPER, SAME_LOWER or VALID");
        }
    }

    /* ONNX Runtime's own rule: dilation makes the padding no longer, and the output shorter. */
    void pad_same(lanepool_desc &desc, std::size_t axis) const {
        const std::int64_t in = desc.shape[axis + 2], stride = desc.stride[axis];
        if (in < 1 || stride < 1) {
            return; // The plan says what is wrong.
        }
        const std::int64_t rest = (in - 1) % stride + 1;
        const std::int64_t both = std::max<std::int64_t>(desc.kernel[axis] - rest, 0);
        desc.pad_begin[axis] = same_ == Same::Upper ? both / 2 : both - both / 2;
        desc.pad_end[axis] = both - desc.pad_begin[axis];
    }

    /* An output that nobody reads may be left out, or have no name. */
    static bool has_indices(const OrtKernelInfo *node) {
        const Ort::ConstKernelInfo info(node);
        return info.GetOutputCount() > 1 && !info.GetOutputName(1).empty();
    }

    lanepool::Desc desc_;
    std::size_t axes_ = 0;
    Same same_ = Same::No;
};

struct Planned {
    Numbers input_shape;
    lanepool::Plan plan;
    lanepool_info info;
    Numbers output_shape;
};

/* The plans of the shapes that were seen last. Any thread may ask. */
class Plans {
public:
    explicit Plans(Layer layer) : layer_(std::move(layer)) {}

    std::shared_ptr<const Planned> of(const Numbers &shape) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto known = std::find_if(plans_.begin(), plans_.end(), [&](const auto &other) { return other->input_shape == shape; });
        if (known != plans_.end()) {
            return *known;
        }
        lanepool::Plan plan = layer_.plan(shape);
        const lanepool_info info = plan.info();
        Numbers output(info.output_shape, info.output_shape + shape.size());
        plans_.push_front(std::make_shared<const Planned>(Planned{shape, std::move(plan), info, std::move(output)}));
        if (plans_.size() > MOST) {
            plans_.pop_back();
        }
        return plans_.front();
    }

private:
    /* A model whose shapes vary without end must not gather plans without end. */
    static constexpr std::size_t MOST = 16;

    const Layer layer_;
    std::mutex mutex_;
    std::deque<std::shared_ptr<const Planned>> plans_;
};

/* How many tasks a run is worth that moves so many bytes: some ten microseconds each, at most four a thread. */
std::size_t tasks_worth(std::uint64_t bytes) {
    // Asked once: the answer may be read from a file.
    static const std::size_t threads = std::thread::hardware_concurrency();
    return threads <= 1 ? 1 : std::clamp<std::size_t>(bytes / (256 << 10), 1, 4 * threads);
}

/* One run, cut into tasks for ONNX Runtime's threads. */
struct Run {
    const lanepool::Plan &plan;
    std::size_t tasks;
    lanepool::In src;
    lanepool::Out dst, indices;
    std::once_flag once;
    std::exception_ptr failure;

    /* No exception may leave a task: the first one is kept. */
    void task(std::size_t number) noexcept {
        try {
            plan.run_task(tasks, number, src, dst, indices);
        } catch (...) {
            std::call_once(once, [&] { failure = std::current_exception(); });
        }
    }
};

/* Turns what f throws into a status. */
template <class F> OrtStatusPtr status_of(F &&f) noexcept {
    try {
        f();
        return nullptr;
    } catch (const Ort::Exception &error) {
        return Ort::Status(error).release();
    } catch (const std::exception &error) {
        return Ort::Status(error.what(), ORT_INVALID_ARGUMENT).release();
    }
}

class Kernel {
public:
    explicit Kernel(Layer layer) : plans_(std::move(layer)) {}

    OrtStatusPtr ComputeV2(OrtKernelContext *context) {
        return status_of([&] { compute(Ort::KernelContext(context)); });
    }

private:
    void compute(const Ort::KernelContext &context) {
        const Ort::ConstValue x = context.GetInput(0);
        const auto planned = plans_.of(x.GetTensorTypeAndShapeInfo().GetShape());
        const lanepool_info &info = planned->info;
        const auto output = [&](std::size_t number, std::uint64_t bytes) {
            lanepool::Out out;
            out.data = context.GetOutput(number, planned->output_shape).GetTensorMutableRawData();
            out.bytes = bytes;
            return out;
        };

        const lanepool::In src(static_cast<const char *>(x.GetTensorRawData()), info.input_bytes);
        const lanepool::Out dst = output(0, info.output_bytes);
        const lanepool::Out indices = info.index_type == LANEPOOL_INDEX_NONE ? lanepool::Out() : output(1, info.index_bytes);
        const std::size_t tasks = planned->plan.tasks(tasks_worth(info.input_bytes + info.output_bytes + info.index_bytes));

        Run run{planned->plan, tasks, src, dst, indices, {}, {}};
        if (tasks > 1) {
            context.ParallelFor([](void *run, std::size_t task) { static_cast<Run *>(run)->task(task); }, tasks, 0, &run);
        } else if (tasks == 1) {
            run.task(0);
        }
        if (run.failure) {
            std::rethrow_exception(run.failure);
        }
    }

    Plans plans_;
};

/* An operator for tensors of one element. ONNX Runtime makes one operator of those that share a name. */
class CustomOp : public Ort::CustomOpBase<CustomOp, Kernel, true> {
public:
    CustomOp(const Operator &op, const Element &element) : op_(op), element_(element) {}

    OrtStatusPtr CreateKernelV2(const OrtApi &, const OrtKernelInfo *node, void **kernel) const {
        return status_of([&] {
            try {
                *kernel = new Kernel(Layer(op_, element_, node));
            } catch (const lanepool::Error &error) {
                const std::string name = Ort::ConstKernelInfo(node).GetNodeName();
                throw wrong(std::string(op_.name) + (name.empty() ? "" : " \"" + name + "\"") + ": " + error.what());
            }
        });
    }

    const char *GetName() const { return op_.name; }
    std::size_t GetInputTypeCount() const { return 1; }
    ONNXTensorElementDataType GetInputType(std::size_t) const { return element_.type; }
    std::size_t GetOutputTypeCount() const { return op_.operation == LANEPOOL_MAX && !op_.global ? 2 : 1; }

    ONNXTensorElementDataType GetOutputType(std::size_t number) const {
        return number == 0 ? element_.type : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    }

    OrtCustomOpInputOutputCharacteristic GetOutputCharacteristic(std::size_t number) const {
        return number == 0 ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
    }

private:
    const Operator &op_;
    const Element &element_;
};

/* All operators. ONNX Runtime keeps pointers to them, so they live as long as the library. */
const Ort::CustomOpDomain &domain() {
    static std::deque<CustomOp> operators;
    static const Ort::CustomOpDomain domain = [] {
        Ort::CustomOpDomain domain("lanepool");
        for (const Operator &op : OPERATORS) {
            for (const Element &element : ELEMENTS) {
                if (element.is_float || op.operation != LANEPOOL_LP) {
                    domain.Add(&operators.emplace_back(op, element));
                }
            }
        }
        return domain;
    }();
    return domain;
}

} // namespace

extern "C" __attribute__((visibility("default"))) OrtStatus *ORT_API_CALL RegisterCustomOps(OrtSessionOptions *options, const OrtApiBase *base) {
    const OrtApi *api = base->GetApi(ORT_API_VERSION);
    if (api == nullptr) {
        const std::string sentence = std::string("lanepool was built for version ") + std::to_string(ORT_API_VERSION) +
                                     " of ONNX Runtime's interface, which ONNX Runtime " + base->GetVersionString() + " does not have";
        return base->GetApi(1)->CreateStatus(ORT_FAIL, sentence.c_str());
    }
    Ort::InitApi(api);
    return status_of([&] { Ort::UnownedSessionOptions(options).Add(domain()); });
}
