/** Where a gateway answers: the paths that its clients build URLs of. */

export const WS_PATH = '/ws';
/** The public key of receipts, for who wants to keep it. */
export const RECEIPT_KEY_PATH = '/.well-known/tandem-receipt-key';

/** The plan, and with a base the folder that all files of a model are below. */
export function modelPath(name: string): string {
  return `/models/${name}`;
}

/** A file of a plan, under its hash: its content never changes. */
export function filePath(name: string, { sha256, file }: { readonly sha256: string; readonly file: string }): string {
  return `${modelPath(name)}/${sha256}/${file}`;
}
