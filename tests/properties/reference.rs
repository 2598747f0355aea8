//! The geometry of the contract in arithmetic that cannot wrap, and whether an answer agrees with it.
//!
//! Written for hostile numbers, so apart from `common/oracle.rs`, which is written to be read.

use lanepool::Error;

/// The largest number of bytes and of positions that the library may count in.
const MOST: i128 = isize::MAX as i128;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    Unset,
    Explicit(Vec<usize>, Vec<usize>),
    /// Whether the odd element goes to the end.
    Same(bool),
}

/// What is asked of the library; lists may have any number of numbers.
#[derive(Clone, Debug)]
pub struct Request {
    pub shape: Vec<usize>,
    pub kernel: Option<Vec<usize>>,
    pub stride: Option<Vec<usize>>,
    pub dilation: Option<Vec<usize>>,
    pub padding: Padding,
    pub ceil: bool,
    pub allow_empty: bool,
}

/// What is true of one axis.
struct Axis {
    n: i128,
    k: i128,
    s: i128,
    d: i128,
    b: i128,
    e: i128,
    span: i128,
    /// Below 1 where not even one window fits.
    out: i128,
}

fn wide(n: usize) -> i128 {
    n as i128
}

impl Axis {
    fn new(request: &Request, i: usize) -> Option<Self> {
        let n = wide(request.shape[i + 2]);
        let one = |list: &Option<Vec<usize>>| list.as_ref().map_or(1, |list| wide(list[i]));
        let k = request.kernel.as_ref().map_or(n, |kernel| wide(kernel[i]));
        let (s, d) = (one(&request.stride), one(&request.dilation));
        if k == 0 || s == 0 || d == 0 {
            return None;
        }
        // Up to 2¹²⁸, which is cut to something that is far beyond every limit and still leaves room for sums.
        let span = if k == 1 { 1 } else { d.saturating_mul(k - 1).min(1 << 100) + 1 };
        let (b, e, out) = match &request.padding {
            Padding::Same(odd_at_end) => {
                let out = (n + s - 1) / s;
                let total = ((out - 1) * s + span - n).max(0);
                let (less, more) = (total / 2, total - total / 2);
                if *odd_at_end { (less, more, out) } else { (more, less, out) }
            }
            explicit => {
                let (b, e) = match explicit {
                    Padding::Explicit(begin, end) => (wide(begin[i]), wide(end[i])),
                    _ => (0, 0),
                };
                let free = n + b + e - span;
                let mut out = if request.ceil { -(-free).div_euclid(s) } else { free.div_euclid(s) } + 1;
                if request.ceil && (out - 1) * s >= n + b {
                    out -= 1;
                }
                (b, e, out)
            }
        };
        Some(Self { n, k, s, d, b, e, span, out })
    }

    /// Whether some number on the way to this axis' geometry is beyond what the library may count in.
    fn overflows(&self) -> bool {
        let last = (self.out - 1).max(0) * self.s + self.span;
        [self.span, self.n + self.b + self.e + self.span, last, self.d.saturating_mul(self.k)]
            .iter()
            .any(|number| *number > MOST)
    }
}

/// Whether a product of sizes, in which zeros count as ones, is beyond the address space.
fn is_too_large(bytes: usize, sizes: impl Iterator<Item = i128>) -> bool {
    let mut total = wide(bytes);
    for size in sizes {
        total = total.saturating_mul(size.max(1));
    }
    total > MOST
}

/// Whether an answer is right: `Err` says what is wrong with it.
pub fn verdict(request: &Request, bytes: usize, answer: &Result<Vec<usize>, Error>) -> Result<(), String> {
    let claim = |is_true: bool, what: &str| if is_true { Ok(()) } else { Err(format!("it is not true that {what}")) };
    let rank = request.shape.len().wrapping_sub(2);
    let lists = [&request.kernel, &request.stride, &request.dilation].into_iter().flatten();
    let padding = match &request.padding {
        Padding::Explicit(begin, end) => vec![begin, end],
        _ => vec![],
    };
    let bad_rank = !(1..=3).contains(&rank) || lists.chain(padding).any(|list| list.len() != rank);
    if bad_rank {
        return claim(matches!(answer, Err(Error::Rank { .. })), "the ranks go together");
    }
    let same = matches!(request.padding, Padding::Same(_));
    let is_set = request.stride.is_some() || request.dilation.is_some() || request.padding != Padding::Unset;
    let contradicts = (same && request.ceil) || (request.kernel.is_none() && (is_set || request.ceil));
    if contradicts {
        return claim(matches!(answer, Err(Error::Unsupported { .. })), "the attributes go together");
    }
    let axes: Vec<Option<Axis>> = (0..rank).map(|i| Axis::new(request, i)).collect();
    let at = |index: usize| axes.get(index.wrapping_sub(2)).and_then(Option::as_ref);
    let number = |list: &Option<Vec<usize>>, index: usize| list.as_ref().map(|list| list[index - 2]);
    match answer {
        Ok(shape) => {
            let all: Option<Vec<&Axis>> = axes.iter().map(Option::as_ref).collect();
            let Some(all) = all else { return Err("an axis has a 0".to_owned()) };
            let want =
                [wide(request.shape[0]), wide(request.shape[1])].into_iter().chain(all.iter().map(|axis| axis.out));
            let want: Vec<i128> = want.collect();
            claim(shape.iter().map(|n| wide(*n)).eq(want.iter().copied()), &format!("the shape is not {want:?}"))?;
            for axis in &all {
                claim(axis.n > 0 && axis.out > 0, "every axis has an input and an output")?;
                let is_padded_enough = same || request.allow_empty || axis.b.max(axis.e) < axis.span;
                claim(is_padded_enough, "padding is shorter than the window")?;
            }
            claim(!is_too_large(1, all.iter().map(|axis| axis.k)), "the taps of a window can be counted")?;
            claim(!is_too_large(bytes, request.shape.iter().map(|n| wide(*n))), "the input fits the address space")?;
            claim(!is_too_large(bytes, want.into_iter()), "the output fits the address space")
        }
        Err(Error::ZeroKernel { axis }) => claim(number(&request.kernel, axis.index) == Some(0), "the kernel is 0"),
        Err(Error::ZeroStride { axis }) => claim(number(&request.stride, axis.index) == Some(0), "the stride is 0"),
        Err(Error::ZeroDilation { axis }) => {
            claim(number(&request.dilation, axis.index) == Some(0), "the dilation is 0")
        }
        Err(Error::EmptyInput { axis }) => claim(request.shape[axis.index] == 0, "the input is empty"),
        Err(Error::PadTooLarge { axis, padding, span }) => {
            let is_true = at(axis.index).is_some_and(|at| {
                wide(*span) == at.span
                    && wide(*padding) == at.b.max(at.e)
                    && padding >= span
                    && !request.allow_empty
                    && !same
            });
            claim(is_true, "the padding is as long as the window")
        }
        Err(Error::KernelTooLarge { axis, kernel, span, dilation, padded }) => {
            let is_true = at(axis.index).is_some_and(|at| {
                let numbers = wide(*kernel) == at.k && wide(*span) == at.span && wide(*padded) == at.n + at.b + at.e;
                numbers && (wide(*dilation) == at.d || at.k == 1) && span > padded && at.out < 1
            });
            claim(is_true, "the window is larger than the padded input")
        }
        Err(Error::SizeOverflow { .. }) => {
            let outputs = axes.iter().map(|axis| axis.as_ref().map_or(1, |axis| axis.out));
            let planes = [wide(request.shape[0]), wide(request.shape[1])];
            let is_true = axes.iter().flatten().any(Axis::overflows)
                || is_too_large(1, axes.iter().flatten().map(|axis| axis.k))
                || is_too_large(bytes, request.shape.iter().map(|n| wide(*n)))
                || is_too_large(bytes, planes.into_iter().chain(outputs));
            claim(is_true, "something overflows")
        }
        Err(other) => Err(format!("{other:?} is no error of the geometry")),
    }
}
