//! One section: its fields, each with its default beside it.

/// Declares the struct of a section. A field without a default has its type's: unset, off, zero.
macro_rules! section {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$of_field:meta])* pub $field:ident: $type:ty $(= $default:expr)?,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$of_field])* pub $field: $type),+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: section!(@default $($default)?)),+ }
            }
        }
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}
pub(super) use section;
