//! The error types of admin operations, one each.
//!
//! Owns: the form they share. Does not own: the codes and messages (`error`).

/// Declares the error of one operation: no answer, one variant for each refusal callers react to, and the rest.
macro_rules! operation_error {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:ident,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum $name {
            /// The cluster did not answer.
            #[error(transparent)]
            Call(#[from] $crate::error::CallError),
            $($(#[$variant_doc])*
            #[error("{0}")]
            $variant($crate::error::ServerError),)*
            /// The cluster refused for another reason.
            #[error("{0}")]
            Refused($crate::error::ServerError),
        }

        impl From<$crate::error::ServerError> for $name {
            fn from(error: $crate::error::ServerError) -> $name {
                $(if error.code == $crate::error::ErrorCode::$code {
                    return $name::$variant(error);
                })*
                $name::Refused(error)
            }
        }

        impl $name {
            /// What the cluster said, or why it said nothing.
            pub fn answer(&self) -> Result<&$crate::error::ServerError, &$crate::error::CallError> {
                match self {
                    $name::Call(error) => Err(error),
                    $($name::$variant(error) => Ok(error),)*
                    $name::Refused(error) => Ok(error),
                }
            }

            /// The refusal with its code, or `None` where the cluster did not answer.
            pub fn refusal(&self) -> Option<&$crate::error::ServerError> {
                self.answer().ok()
            }
        }
    )*};
}

pub(crate) use operation_error;
