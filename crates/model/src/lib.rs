//! What things are: entities, wire shapes, ids, validation and limits.
//!
//! This crate does no I/O. Whoever wants to know what a conversation holds, which field a body may
//! carry or how long a name may be finds it here; where things live is `agentsight-store`, who may
//! ask is `agentsight-server`.
//!
//! | Module | Holds |
//! |---|---|
//! | [`conversation`], [`message`], [`action`], [`button`], [`attachment`], [`feedback`], [`ticket`], [`usage`], [`agent`] | the entities in the shape in which they are answered |
//! | [`body`] | reading a JSON body field by field, with errors by field name |
//! | [`track`] | bodies of the tracking routes as domain writes |
//! | [`span`] | spans, and what they tell of a conversation |
//! | [`manage`] | bodies of the managing routes |
//! | [`price`] | what models cost, by which name they are found, and price lists |
//! | [`currency`] | rates of other currencies |
//! | [`words`] | closed lists of words |
//! | [`filter`], [`page`] | query parameters of lists, and the page envelope |
//! | [`time`], [`json`], [`ids`], [`key`], [`limits`], [`refusal`] | what everything else is made of |

pub mod action;
pub mod agent;
pub mod attachment;
pub mod body;
pub mod button;
pub mod conversation;
pub mod currency;
pub mod feedback;
pub mod filter;
pub mod ids;
pub mod json;
pub mod key;
pub mod limits;
pub mod manage;
pub mod message;
pub mod metadata;
pub mod page;
pub mod price;
pub mod refusal;
pub mod span;
pub mod text;
pub mod ticket;
pub mod time;
pub mod track;
pub mod usage;
pub mod words;
