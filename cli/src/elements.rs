//! What the tool knows of element types beyond the library: other names, NumPy's, and test data.

use lanepool::{DType, Element};
use npyz::{Endianness, TypeChar, TypeStr};

/// Other names that a file or a caller may use.
const fn other_names(element: DType) -> &'static [&'static str] {
    match element {
        DType::F32 => &["float32", "fp32", "float"],
        DType::F64 => &["float64", "fp64", "double"],
        DType::F16 => &["float16", "fp16", "half"],
        DType::Bf16 => &["bfloat16"],
        DType::I8 => &["int8"],
        DType::U8 => &["uint8"],
        DType::I16 => &["int16"],
        DType::U16 => &["uint16"],
        DType::I32 => &["int32"],
        DType::U32 => &["uint32"],
        DType::I64 => &["int64"],
        DType::U64 => &["uint64"],
        _ => &[],
    }
}

/// The kind that NumPy gives it. It has no bf16: its extensions store that as raw bytes.
const fn npy_kind(element: DType) -> TypeChar {
    match element {
        DType::Bf16 => TypeChar::RawData,
        DType::F32 | DType::F64 | DType::F16 => TypeChar::Float,
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => TypeChar::Uint,
        _ => TypeChar::Int,
    }
}

/// The type that a `.npy` file's description stands for; none for truth values, which are pooled as bytes.
pub fn from_npy(kind: TypeChar, bytes: u64) -> Option<DType> {
    DType::ALL.iter().copied().find(|element| npy_kind(*element) == kind && element.bytes() as u64 == bytes)
}

/// A `.npy` file's type in words: `int64 (8 bytes, little-endian, written '<i8')`.
pub fn npy_words(kind: &TypeStr) -> String {
    let size = kind.size_field();
    let bits = size.saturating_mul(8);
    let (name, bytes) = match kind.type_char() {
        TypeChar::Bool => ("bool".to_owned(), size),
        TypeChar::Int => (format!("int{bits}"), size),
        TypeChar::Uint => (format!("uint{bits}"), size),
        TypeChar::Float => (format!("float{bits}"), size),
        TypeChar::Complex => (format!("complex{bits}"), size),
        TypeChar::TimeDelta => ("timedelta64".to_owned(), size),
        TypeChar::DateTime => ("datetime64".to_owned(), size),
        TypeChar::ByteStr => ("byte strings".to_owned(), size),
        // A character takes 4 bytes.
        TypeChar::UnicodeStr => ("strings".to_owned(), size.saturating_mul(4)),
        TypeChar::RawData => ("raw data".to_owned(), size),
        _ => ("objects".to_owned(), size),
    };
    let order = match kind.endianness() {
        Endianness::Little => "little-endian, ",
        Endianness::Big => "big-endian, ",
        Endianness::Irrelevant => "",
    };
    let plural = if bytes == 1 { "" } else { "s" };
    format!("{name} ({bytes} byte{plural}, {order}written '{kind}')")
}

/// What NumPy calls the types that can be pooled: `float32, float64`.
pub fn npy_names() -> String {
    let name = |element: &DType| match element {
        DType::Bf16 => "bfloat16 (2 bytes of raw data)",
        _ => other_names(*element).first().copied().unwrap_or_default(),
    };
    DType::ALL.iter().map(name).chain(["bool"]).collect::<Vec<_>>().join(", ")
}

/// The type to convert to, where there is one that a file's type would suit.
pub const fn npy_nearest(kind: TypeChar) -> Option<&'static str> {
    match kind {
        TypeChar::Float => Some("float64"),
        _ => None,
    }
}

/// Every name, for messages: `f32, f64`.
pub fn names() -> String {
    DType::ALL.iter().map(|element| element.name()).collect::<Vec<_>>().join(", ")
}

/// The type of a name, in upper or lower case.
pub fn parse(text: &str) -> Result<DType, String> {
    let known = |element: &DType| {
        std::iter::once(&element.name()).chain(other_names(*element)).any(|name| name.eq_ignore_ascii_case(text))
    };
    let found = DType::ALL.iter().copied().find(known);
    found.ok_or_else(|| format!("no element type is called {text:?}: {} are", names()))
}

/// The lowest and the highest value of an integer type whose sums are cut to it.
pub const fn range(element: DType) -> Option<(f64, f64)> {
    match element {
        DType::I8 => Some((i8::MIN as f64, i8::MAX as f64)),
        DType::U8 => Some((u8::MIN as f64, u8::MAX as f64)),
        DType::I16 => Some((i16::MIN as f64, i16::MAX as f64)),
        DType::U16 => Some((u16::MIN as f64, u16::MAX as f64)),
        DType::I32 => Some((i32::MIN as f64, i32::MAX as f64)),
        DType::U32 => Some((u32::MIN as f64, u32::MAX as f64)),
        _ => None,
    }
}

/// Integers of the types that have a [`range`] as the equal `f64`s; nothing of other types.
pub fn to_f64<T: Element>(values: &[T]) -> Vec<f64> {
    fn all<I: bytemuck::AnyBitPattern + Into<f64>>(bytes: &[u8]) -> Vec<f64> {
        bytes.chunks_exact(size_of::<I>()).map(|one| bytemuck::pod_read_unaligned::<I>(one).into()).collect()
    }
    let bytes = bytemuck::cast_slice(values);
    match T::DTYPE {
        DType::I8 => all::<i8>(bytes),
        DType::U8 => all::<u8>(bytes),
        DType::I16 => all::<i16>(bytes),
        DType::U16 => all::<u16>(bytes),
        DType::I32 => all::<i32>(bytes),
        DType::U32 => all::<u32>(bytes),
        _ => Vec::new(),
    }
}

/// A value as a layer in a network holds it: floats in −1 to 1, integers over their whole range.
pub fn sample<T: Element>(rng: &mut fastrand::Rng) -> T {
    let bits: u64 = match T::DTYPE {
        DType::F64 => (rng.f64() * 2.0 - 1.0).to_bits(),
        DType::F32 => (rng.f32() * 2.0 - 1.0).to_bits().into(),
        DType::F16 => half::f16::from_f32(rng.f32() * 2.0 - 1.0).to_bits().into(),
        DType::Bf16 => half::bf16::from_f32(rng.f32() * 2.0 - 1.0).to_bits().into(),
        _ => rng.u64(..),
    };
    from_bits(bits)
}

/// A random sample of fractional pooling, from 0 up to but not 1: of 256ths, which samples of every type hold exactly.
pub fn fraction<T: Element>(rng: &mut fastrand::Rng) -> T::Sample {
    let fraction = f32::from(rng.u8(..)) / 256.0;
    from_bits(match T::DTYPE {
        DType::F64 => f64::from(fraction).to_bits(),
        DType::F16 => half::f16::from_f32(fraction).to_bits().into(),
        DType::Bf16 => half::bf16::from_f32(fraction).to_bits().into(),
        _ => fraction.to_bits().into(),
    })
}

/// The number whose bits are the low ones.
fn from_bits<P: bytemuck::Pod>(bits: u64) -> P {
    let bytes = bits.to_ne_bytes();
    let from = if cfg!(target_endian = "big") { bytes.len() - size_of::<P>() } else { 0 };
    bytemuck::pod_read_unaligned(&bytes[from..][..size_of::<P>()])
}

#[cfg(test)]
mod tests {
    use lanepool::ElementVisitor;

    use super::*;

    /// How many different values a few hundred samples are.
    struct Drawn;

    impl ElementVisitor for Drawn {
        type Output = usize;

        fn visit<T: Element>(self) -> usize {
            let mut rng = fastrand::Rng::with_seed(7);
            let mut bytes: Vec<Vec<u8>> =
                (0..300).map(|_| bytemuck::bytes_of(&sample::<T>(&mut rng)).to_vec()).collect();
            bytes.sort();
            bytes.dedup();
            bytes.len()
        }
    }

    #[test]
    fn every_type_has_names_a_place_in_numpy_and_samples() {
        for element in DType::ALL {
            assert_eq!(parse(element.name()), Ok(*element));
            for name in other_names(*element) {
                assert_eq!(parse(&name.to_uppercase()), Ok(*element));
            }
            assert!(!other_names(*element).is_empty(), "{element}");
            assert_eq!(from_npy(npy_kind(*element), element.bytes() as u64), Some(*element));
            // A byte has 256 values.
            assert!(element.visit(Drawn).expect("a build with every type") > 150, "{element}");
        }
        assert_eq!(from_npy(TypeChar::Int, 3), None);
        assert_eq!(from_npy(TypeChar::Uint, 8), Some(DType::U64));
        assert!(parse("u7").is_err_and(|why| why.contains("u7") && why.contains("bf16")));
    }

    #[test]
    fn types_of_numpy_have_words() {
        for (written, words) in [
            ("<i8", "int64 (8 bytes, little-endian, written '<i8')"),
            (">u4", "uint32 (4 bytes, big-endian, written '>u4')"),
            ("|b1", "bool (1 byte, written '|b1')"),
            ("<c8", "complex64 (8 bytes, little-endian, written '<c8')"),
            ("<f16", "float128 (16 bytes, little-endian, written '<f16')"),
            ("<U3", "strings (12 bytes, little-endian, written '<U3')"),
        ] {
            assert_eq!(npy_words(&written.parse().unwrap()), words);
        }
        assert!(npy_names().starts_with("float32, float64, float16, bfloat16 (2 bytes of raw data), int8, "));
    }

    #[test]
    fn integers_have_a_range() {
        assert_eq!(range(DType::I8), Some((-128.0, 127.0)));
        assert_eq!(range(DType::F32), None);
        assert_eq!(to_f64(&[-128_i8, 127]), [-128.0, 127.0]);
        assert_eq!(to_f64(&[65535_u16, 1]), [65535.0, 1.0]);
        assert_eq!(to_f64(&[i32::MIN]), [-2_147_483_648.0]);
        assert_eq!(to_f64(&[u32::MAX]), [4_294_967_295.0]);
        for element in DType::ALL {
            assert_eq!(range(*element).is_some(), element.is_integer() && element.has_sums(), "{element}");
        }
    }

    #[test]
    fn floats_lie_around_zero() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..1000 {
            assert!(sample::<f32>(&mut rng).abs() <= 1.0);
            assert!(sample::<f64>(&mut rng).abs() <= 1.0);
            assert!(sample::<half::f16>(&mut rng).to_f32().abs() <= 1.0);
            assert!(sample::<half::bf16>(&mut rng).to_f32().abs() <= 1.0);
            assert!((0.0..1.0).contains(&fraction::<u8>(&mut rng)));
            assert!((0.0..1.0).contains(&fraction::<f64>(&mut rng)));
            assert!((0.0..1.0).contains(&fraction::<half::f16>(&mut rng).to_f32()));
            assert!((0.0..1.0).contains(&fraction::<half::bf16>(&mut rng).to_f32()));
        }
    }
}
