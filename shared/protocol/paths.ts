/** Where a gateway answers: the paths that its clients build URLs of. */

export const WS_PATH = '/ws';
/** The welcome that a hello would be answered with. */
export const WELCOME_PATH = '/welcome';
/** One request, as a frame, and its answer, as a frame. `?receipts=no`: without one. */
export const INFER_PATH = '/infer';
/** `planHead` of a plan, beside it. */
export const PLAN_HEAD_FILE = 'plan-head.json';
/** The public key of receipts, for who wants to keep it. */
export const RECEIPT_KEY_PATH = '/.well-known/tandem-receipt-key';

/** Where WebSockets connect to the gateway at this address. */
export function socketUrl(baseUrl: string): string {
  return `${baseUrl.replace(/^http/, 'ws')}${WS_PATH}`;
}

/** The plan, and with a base the folder that all files of a model are below. */
export function modelPath(name: string): string {
  return `/models/${name}`;
}

export function planHeadPath(name: string): string {
  return `${modelPath(name)}/${PLAN_HEAD_FILE}`;
}

/** A file of a plan, under its hash: its content never changes. */
export function filePath(name: string, { sha256, file }: { readonly sha256: string; readonly file: string }): string {
  return `${modelPath(name)}/${sha256}/${file}`;
}
