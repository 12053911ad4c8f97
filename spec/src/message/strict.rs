//! How a message body is read: objects only, ranges checked, `null` as absent. Owns the building blocks of the
//! `Deserialize` implementations; it knows no message.

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, Unexpected};

/// The longest `id` of a `flush` or an `update`, in bytes of UTF-8; the shortest has one byte.
pub const MAX_ID_BYTES: usize = 128;

/// Gives a struct whose derives are marked `#[serde(remote = "Self")]` its two serde traits: written as derived, read
/// from a JSON object only. A derived `Deserialize` alone would take the array of a struct's values for the struct.
macro_rules! object_only {
    ($($name:ident),+ $(,)?) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        $name::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }
    )+};
}
pub(crate) use object_only;

/// An optional member that `null` leaves at its default, as if it were absent.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An integer in `MIN..=MAX`, which is checked here so that the error carries the member's path.
pub(crate) fn ranged<'de, D, T, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Into<u64> + Copy,
{
    let value = T::deserialize(deserializer)?;
    in_range::<D, T, MIN, MAX>(value)
}

/// [`ranged`], for a member that may be absent or `null`.
pub(crate) fn opt_ranged<'de, D, T, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Into<u64> + Copy,
{
    Option::<T>::deserialize(deserializer)?.map(in_range::<D, T, MIN, MAX>).transpose()
}

fn in_range<'de, D, T, const MIN: u64, const MAX: u64>(value: T) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Into<u64> + Copy,
{
    let number: u64 = value.into();
    if (MIN..=MAX).contains(&number) {
        return Ok(value);
    }
    Err(D::Error::invalid_value(Unexpected::Unsigned(number), &format!("an integer from {MIN} to {MAX}").as_str()))
}

/// The `id` of a request: 1 to [`MAX_ID_BYTES`] bytes.
pub(crate) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    check_id::<D>(id)
}

/// [`id`], for a member that may be absent or `null`.
pub(crate) fn opt_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(check_id::<D>).transpose()
}

fn check_id<'de, D: Deserializer<'de>>(id: String) -> Result<String, D::Error> {
    match id.len() {
        1..=MAX_ID_BYTES => Ok(id),
        length => Err(D::Error::custom(format_args!(
            "{BAD_VALUE} an id has 1 to {MAX_ID_BYTES} bytes, this one has {length}"
        ))),
    }
}

/// Marks a custom message of a `Deserialize` implementation as one about the value of the member, not about its type.
pub(crate) const BAD_VALUE: &str = "invalid value:";

/// A member that must not be there at all, whatever its value. See [`crate::codec`] for the use.
#[derive(Debug, Default)]
pub(crate) struct Forbidden;

impl<'de> Deserialize<'de> for Forbidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom(format_args!("{BAD_VALUE} the audio format is declared inside `audio`, not at top level")))
    }
}
