/** The address of the shared worker's file; build.mjs puts it in. */
declare const WORKER_URL: string;
declare module "*.css";
