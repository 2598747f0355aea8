//! A layer as the command line and files of cases describe it, and the way from there to a plan of the library.

use std::fmt;
use std::str::FromStr;

use lanepool::{
    Avg, AvgPool, Element, Layout, Lp, LpPool, Max, MaxPool, Min, MinPool, NanPolicy, Plan, Pool, PoolOperation,
    SumPool, Tier,
};

/// What is done with each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Max,
    Min,
    Avg,
    Sum,
    Lp,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Max, Self::Min, Self::Avg, Self::Sum, Self::Lp];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Min => "min",
            Self::Avg => "avg",
            Self::Sum => "sum",
            Self::Lp => "lp",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Operation {
    type Err = String;

    /// Reads `max`, `MaxPool`, `max_pool`, `average`, `AveragePool`, `mean`…
    fn from_str(text: &str) -> Result<Self, String> {
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let root = plain.strip_prefix("global").unwrap_or(&plain);
        let root = ["pool1d", "pool2d", "pool3d", "pooling", "pool"]
            .iter()
            .find_map(|end| root.strip_suffix(end))
            .unwrap_or(root);
        let name = match root {
            "maximum" => "max",
            "minimum" => "min",
            "average" | "mean" => "avg",
            other => other,
        };
        let found = Self::ALL.into_iter().find(|operation| operation.name() == name);
        found.ok_or_else(|| format!("no operation is called {text:?}: max, min, avg, sum and lp are"))
    }
}

/// Reads `nchw`, `nhwc`, `nchw8c`, `nchw16c`…, in any case; the names for one and three spatial axes are the same layouts.
pub fn parse_layout(text: &str) -> Result<Layout, String> {
    let name = text.to_ascii_lowercase();
    let blocked = || name.strip_prefix("nchw")?.strip_suffix('c')?.parse().ok().filter(|&block: &usize| block > 0);
    match name.as_str() {
        "nchw" | "ncw" | "ncdhw" => Ok(Layout::Nchw),
        "nhwc" | "nwc" | "ndhwc" => Ok(Layout::Nhwc),
        _ => blocked().map(Layout::Blocked).ok_or_else(|| {
            format!("no layout is called {text:?}: nchw, nhwc and blocks of channels such as nchw8c and nchw16c are")
        }),
    }
}

/// Numbers for the spatial axes: one for each, or a single one for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers(pub Vec<usize>);

impl Numbers {
    /// One number for each of `rank` axes. Lists of any other length stay as they are, for the library to refuse.
    pub fn spread(&self, rank: usize) -> Vec<usize> {
        match *self.0 {
            [single] => vec![single; rank],
            _ => self.0.clone(),
        }
    }
}

impl FromStr for Numbers {
    type Err = String;

    /// Reads `3` and `3,5`, also `3x5`.
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| {
            let part = part.trim();
            part.parse().map_err(|_| format!("{part:?} is not a whole number of at least 0"))
        };
        text.split([',', 'x']).map(number).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = self.0.windows(2).all(|pair| pair[0] == pair[1]);
        let shown = if same { self.0.get(..1).unwrap_or_default() } else { &self.0 };
        f.write_str(&joined(shown))
    }
}

/// Numbers joined by `x`: `64x112x112`.
pub fn joined(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
}

/// What surrounds the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    Explicit { begin: Numbers, end: Numbers },
    SameUpper,
    SameLower,
}

/// A window with every attribute that the library has, for tensors of any size.
#[derive(Clone, Debug)]
pub struct Window {
    pub operation: Operation,
    /// `None` is the whole plane.
    pub kernel: Option<Numbers>,
    pub stride: Option<Numbers>,
    pub dilation: Option<Numbers>,
    pub padding: Option<Padding>,
    pub ceil: bool,
    pub allow_empty: bool,
    pub nan: NanPolicy,
    pub count_include_pad: bool,
    pub divisor: Option<usize>,
    /// The p of a norm.
    pub p: f64,
    /// A norm's sum of powers is divided by the number of valid taps before the root is taken.
    pub power_mean: bool,
    /// By this driver of the library, instead of the one that it chooses.
    pub driver: Option<&'static str>,
}

impl Window {
    /// A window with a kernel (`None`: the whole plane) and defaults for all else.
    pub fn new(operation: Operation, kernel: Option<Numbers>) -> Self {
        Self {
            operation,
            kernel,
            stride: None,
            dilation: None,
            padding: None,
            ceil: false,
            allow_empty: false,
            nan: NanPolicy::Propagate,
            count_include_pad: false,
            divisor: None,
            p: 2.0,
            power_mean: false,
            driver: None,
        }
    }

    /// The library's plan for a tensor of shape `N, C, spatial…`; without a tier, for the best one.
    pub fn plan<T: Element>(&self, layout: Layout, shape: &[usize], tier: Option<Tier>) -> lanepool::Result<Plan<T>> {
        let rank = shape.len().saturating_sub(2);
        match self.operation {
            Operation::Max => MaxPool::nan(self.pool::<Max, T>(rank, tier), self.nan).plan(layout, shape),
            Operation::Min => MinPool::nan(self.pool::<Min, T>(rank, tier), self.nan).plan(layout, shape),
            Operation::Avg => {
                let pool = AvgPool::count_include_pad(self.pool::<Avg, T>(rank, tier), self.count_include_pad);
                self.divisor.map_or(pool, |divisor| pool.divisor(divisor)).plan(layout, shape)
            }
            Operation::Sum => {
                let pool: SumPool<T> = self.pool(rank, tier);
                pool.plan(layout, shape)
            }
            Operation::Lp => {
                let pool = LpPool::p(self.pool::<Lp, T>(rank, tier), self.p);
                LpPool::mean(pool, self.power_mean).plan(layout, shape)
            }
        }
    }

    /// The attributes that all operations share.
    ///
    /// A global window has no others, but lists of layers write even those out that say nothing (stride 1, padding 0):
    /// these stay here, and the library refuses the rest.
    pub fn pool<O: PoolOperation, T: Element>(&self, rank: usize, tier: Option<Tier>) -> Pool<O, T> {
        let mut pool = match &self.kernel {
            Some(kernel) => Pool::new(kernel.spread(rank)),
            None => Pool::global(),
        };
        let global = self.kernel.is_none();
        let says_nothing = |numbers: &Numbers, neutral| global && numbers.0.iter().all(|&n| n == neutral);
        if let Some(stride) = self.stride.as_ref().filter(|stride| !says_nothing(stride, 1)) {
            pool = pool.stride(stride.spread(rank));
        }
        if let Some(dilation) = self.dilation.as_ref().filter(|dilation| !says_nothing(dilation, 1)) {
            pool = pool.dilation(dilation.spread(rank));
        }
        pool = match &self.padding {
            Some(Padding::Explicit { begin, end }) if says_nothing(begin, 0) && says_nothing(end, 0) => pool,
            Some(Padding::Explicit { begin, end }) => pool.padding_unequal(begin.spread(rank), end.spread(rank)),
            Some(Padding::SameUpper) => pool.same_upper(),
            Some(Padding::SameLower) => pool.same_lower(),
            None => pool,
        };
        if let Some(tier) = tier {
            pool = pool.tier(tier);
        }
        if let Some(driver) = self.driver {
            pool = pool.driver(driver);
        }
        pool.ceil_mode(self.ceil).allow_empty_windows(self.allow_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_lenient_spellings() {
        for (text, operation) in [
            ("max", Operation::Max),
            ("MaxPool", Operation::Max),
            ("max_pool2d", Operation::Max),
            ("average", Operation::Avg),
            ("GlobalAveragePool", Operation::Avg),
            ("mean", Operation::Avg),
            ("MIN", Operation::Min),
            ("sum", Operation::Sum),
            ("LpPool", Operation::Lp),
            ("GlobalLpPool", Operation::Lp),
        ] {
            assert_eq!(text.parse(), Ok(operation), "{text}");
        }
        assert!("pool".parse::<Operation>().is_err());
        assert!("median".parse::<Operation>().is_err());
    }

    #[test]
    fn layouts_have_their_usual_names() {
        assert_eq!(parse_layout("NCHW"), Ok(Layout::Nchw));
        assert_eq!(parse_layout("ndhwc"), Ok(Layout::Nhwc));
        assert_eq!(parse_layout("nChw16c"), Ok(Layout::Blocked(16)));
        for wrong in ["", "chwn", "nchw0c", "nchwc", "nchw8"] {
            assert!(parse_layout(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_global_window_may_have_attributes_that_say_nothing() {
        let numbers = |n| Numbers(vec![n, n]);
        let mut window = Window::new(Operation::Avg, None);
        window.stride = Some(numbers(1));
        window.dilation = Some(numbers(1));
        window.padding = Some(Padding::Explicit { begin: numbers(0), end: numbers(0) });
        let shape = [1, 2, 3, 4];
        assert_eq!(window.plan::<f32>(Layout::Nchw, &shape, None).unwrap().output_shape(), [1, 2, 1, 1]);
        window.padding = Some(Padding::Explicit { begin: numbers(0), end: numbers(1) });
        assert!(window.plan::<f32>(Layout::Nchw, &shape, None).is_err());
        window.padding = None;
        window.stride = Some(numbers(2));
        assert!(window.plan::<f32>(Layout::Nchw, &shape, None).is_err());
    }

    #[test]
    fn one_number_stands_for_all_axes() {
        assert_eq!("3".parse::<Numbers>().unwrap().spread(3), [3, 3, 3]);
        assert_eq!("3,5".parse::<Numbers>().unwrap().spread(2), [3, 5]);
        assert_eq!("3, 5".parse::<Numbers>().unwrap().to_string(), "3x5");
        assert!("3,".parse::<Numbers>().is_err());
        assert!("-1".parse::<Numbers>().is_err());
    }
}
