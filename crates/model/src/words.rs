//! Closed lists of words: an enum, its words on the wire and in the store, and reading them.

/// Declares a closed list.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// The whole list, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word on the wire and in the store.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(text: &str) -> Result<Self, $crate::words::UnknownWord> {
                match text { $($word => Ok(Self::$variant),)* _ => Err($crate::words::UnknownWord) }
            }
        }
    };
}
pub(crate) use words;

/// Not one of the words of a closed list.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not one of the choices")]
pub struct UnknownWord;
