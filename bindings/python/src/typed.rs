//! How a type of ours reads in Python's type stubs.

/// The Python type of a Rust type that crosses the border.
pub(crate) trait Typed {
    /// Does not show in a `repr`: a secret, or too much to be read.
    const IS_HIDDEN: bool = false;

    /// What Python gets.
    fn output() -> String;

    /// What Python may give.
    fn input() -> String {
        Self::output()
    }
}

/// Types that are called the same both ways.
macro_rules! typed {
    ($($type:ty => $name:literal),* $(,)?) => {$(
        impl $crate::typed::Typed for $type {
            fn output() -> String {
                $name.to_owned()
            }
        }
    )*};
}
pub(crate) use typed;

typed! {
    () => "None",
    bool => "bool",
    u8 => "int",
    u16 => "int",
    u32 => "int",
    u64 => "int",
    usize => "int",
    f64 => "float",
    String => "str",
    &'static str => "str",
}

impl<T: Typed> Typed for Option<T> {
    const IS_HIDDEN: bool = T::IS_HIDDEN;

    fn output() -> String {
        format!("{} | None", T::output())
    }

    fn input() -> String {
        format!("{} | None", T::input())
    }
}

impl<T: Typed> Typed for Vec<T> {
    const IS_HIDDEN: bool = T::IS_HIDDEN;

    fn output() -> String {
        format!("list[{}]", T::output())
    }

    fn input() -> String {
        format!("Sequence[{}]", T::input())
    }
}
