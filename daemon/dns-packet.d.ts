/** What is used of the package, which brings no types. */
declare module 'dns-packet' {
  export interface Question {
    readonly name: string;
    readonly type: string;
  }

  export type Answer =
    | { readonly name: string; readonly ttl: number; readonly type: 'PTR' | 'A' | 'AAAA'; readonly data: string }
    | {
        readonly name: string;
        readonly ttl: number;
        readonly type: 'SRV';
        readonly data: { readonly port: number; readonly target: string };
      }
    | { readonly name: string; readonly ttl: number; readonly type: 'TXT'; readonly data: readonly Uint8Array[] };

  export interface Packet {
    readonly type: 'query' | 'response';
    readonly flags?: number;
    readonly questions?: readonly Question[];
    readonly answers?: readonly Answer[];
    readonly additionals?: readonly Answer[];
  }

  export const AUTHORITATIVE_ANSWER: number;
  export function encode(packet: Packet): Buffer;
  /** @throws when the message is malformed */
  export function decode(message: Uint8Array): Required<Packet>;
}
