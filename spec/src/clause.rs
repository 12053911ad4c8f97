//! The requirement IDs that the codec cites. One place, so that a renamed requirement is one edit; what each says stands
//! in the prose.

use crate::registry::RequirementId;
use crate::requirements;

/// A control message is a text message that holds one JSON object with a string `type`; nothing else is one.
pub const MESSAGE_IS_OBJECT: RequirementId = requirements::MSG_1;
/// A control message is I-JSON, and its members have the types and values of the tables.
pub const MESSAGE_FORM: RequirementId = requirements::MSG_2;
/// Times of results are integer milliseconds.
pub const TIMES: RequirementId = requirements::TIM_1;
/// `error` carries its code, a message and the bits `fatal` and `retryable`.
pub const ERROR_FORM: RequirementId = requirements::ERR_1;
/// `ready.limits` is complete.
pub const LIMITS_COMPLETE: RequirementId = requirements::LIM_S1;
/// `ready.config` is complete.
pub const CONFIG_COMPLETE: RequirementId = requirements::CFG_S3;
