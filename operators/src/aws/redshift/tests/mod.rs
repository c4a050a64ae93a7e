mod copy;
mod data;
mod data_attempts;
mod iam_login;
mod lab;
mod unload;
