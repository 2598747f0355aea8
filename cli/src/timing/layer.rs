//! What is timed: a layer, whatever its operation.

use std::fmt;
use std::str::FromStr;

use lanepool::{DType, Layout, Quantization};

use crate::layer::{Numbers, Operation, Padding, Window, joined};

/// A layer to time: windows and the tensor they are laid over.
#[derive(Clone, Debug)]
pub struct Layer {
    pub name: String,
    pub work: Work,
    /// The forward pass's. Adaptive windows have no more than its operation.
    pub window: Window,
    pub layout: Layout,
    pub element: DType,
    /// `N, C, spatial…` of the forward pass's input, whatever the layout.
    pub shape: Vec<usize>,
}

/// What is computed with the windows.
#[derive(Clone, Debug)]
pub enum Work {
    /// The window's operation.
    Values,
    /// The same of integers that stand for real numbers: what those of the input and of the output stand for.
    Quantized([Quantization; 2]),
    /// Maxima and where they were found.
    Indices(IndexWidth),
    /// The window's operation over as many windows as the output is long.
    Adaptive(Numbers),
    /// Maxima of as many windows as the output is long, at random places of each plane.
    Fractional(Numbers),
    /// Maxima go back to where they were found.
    Unpool(IndexWidth),
    /// The gradient of the input from that of the output. That of a maximum takes indices.
    Backward(IndexWidth),
}

/// The type of indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexWidth {
    I32,
    I64,
}

impl FromStr for IndexWidth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "i32" | "int32" => Ok(Self::I32),
            "i64" | "int64" => Ok(Self::I64),
            _ => Err(format!("the index is {text:?} where \"i32\" or \"i64\" is needed")),
        }
    }
}

impl fmt::Display for IndexWidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
        })
    }
}

impl Work {
    /// Whether its code is chosen by the tier. What has none is compiled once.
    pub const fn has_tiers(&self) -> bool {
        matches!(self, Self::Values | Self::Quantized(_) | Self::Indices(_) | Self::Adaptive(_))
    }
}

impl Layer {
    /// Whether elements of its type have its operation at all: norms and gradients are of floats, integers of 64 bits have no
    /// sums, and quantised elements are of three types.
    pub const fn has_operation(&self) -> bool {
        match (&self.work, self.window.operation) {
            (Work::Quantized(_), _) => matches!(self.element, DType::U8 | DType::I8 | DType::I16),
            (Work::Backward(_), _) | (_, Operation::Lp) => !self.element.is_integer(),
            (_, Operation::Avg | Operation::Sum) => self.element.has_sums(),
            _ => true,
        }
    }

    /// The operation as a list of cases calls it.
    pub fn operation(&self) -> String {
        let operation = self.window.operation;
        match self.work {
            Work::Values => operation.to_string(),
            Work::Quantized(_) => format!("quantized_{operation}"),
            Work::Indices(_) => format!("{operation}_indices"),
            Work::Adaptive(_) => format!("adaptive_{operation}"),
            Work::Fractional(_) => format!("fractional_{operation}"),
            Work::Unpool(_) => "unpool".to_owned(),
            Work::Backward(_) => format!("{operation}_backward"),
        }
    }

    /// The tensor and the window in a few characters, `64x112x112 3x3/2+1`, and the operation where it is more than pooling.
    pub fn summary(&self) -> String {
        let rank = self.shape.len().saturating_sub(2);
        let mut text = match self.shape.as_slice() {
            [1, rest @ ..] => joined(rest),
            all => joined(all),
        };
        match &self.window.kernel {
            None if matches!(self.work, Work::Adaptive(_)) => {}
            None => text += " global",
            Some(kernel) => text += &format!(" {}", joined(&kernel.spread(rank))),
        }
        if let Some(stride) = self.window.stride.as_ref().filter(|stride| stride.0.iter().any(|&n| n != 1)) {
            text += &format!("/{stride}");
        }
        if let Some(Padding::Explicit { begin, .. }) = &self.window.padding
            && begin.0.iter().any(|&n| n != 0)
        {
            text += &format!("+{begin}");
        }
        if let Work::Adaptive(output) | Work::Fractional(output) = &self.work {
            text += &format!(" → {}", joined(&output.spread(rank)));
        }
        if !matches!(self.work, Work::Values) {
            text += &format!(" {}", self.operation());
        }
        match self.work {
            Work::Backward(_) if self.window.operation != Operation::Max => {}
            Work::Indices(width) | Work::Unpool(width) | Work::Backward(width) => text += &format!(" {width}"),
            _ => {}
        }
        text
    }
}
