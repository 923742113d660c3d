//! What the suites of the ports share: naming a test for each case, and seeing that every case is listed.

/// One `#[tokio::test]` for each case of a port's list, each over a fresh place.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    (($port:ident, $place:expr) $($module:ident: $($case:ident),*;)*) => {
        $(mod $module {
            #[allow(unused_imports)]
            use super::*;
            $(#[tokio::test]
            async fn $case() {
                let place = $place;
                $crate::ports::$port::conformance::$module::$case(&place).await;
            })*
        })*
    };
}

/// The modules of a list, their sources, and their cases.
#[cfg(test)]
macro_rules! listed_cases {
    (() $($module:ident: $($case:ident),*;)*) => {
        [$((stringify!($module), include_str!(concat!(stringify!($module), ".rs")),
            &[$(stringify!($case)),*] as &[&str])),*]
    };
}

#[cfg(test)]
pub(crate) use listed_cases;

/// A case that is written and not listed would never run. Returns how many there are.
#[cfg(test)]
pub(crate) fn count_of_listed(modules: &[(&str, &str, &[&str])]) -> usize {
    for (module, source, listed) in modules {
        let written = source.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        let mut written: Vec<_> = written.map(|rest| rest.split('(').next().unwrap()).collect();
        let mut listed = listed.to_vec();
        written.sort_unstable();
        listed.sort_unstable();
        assert_eq!(written, listed, "{module}");
    }
    modules.iter().map(|(_, _, listed)| listed.len()).sum()
}
