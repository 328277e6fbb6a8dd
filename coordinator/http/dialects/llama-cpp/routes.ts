import type { Route } from '../../dialect.ts';
import { llamaCpp } from './dialect.ts';
import { infill } from './infill.ts';
import { props, slots } from './state.ts';
import { detokenize, tokenize } from './tokens.ts';

export const LLAMA_CPP_ROUTES: readonly Route[] = [
  { method: 'POST', path: '/infill', dialect: llamaCpp, handler: infill },
  { method: 'POST', path: '/tokenize', dialect: llamaCpp, handler: tokenize },
  { method: 'POST', path: '/detokenize', dialect: llamaCpp, handler: detokenize },
  { method: 'GET', path: '/props', dialect: llamaCpp, handler: props },
  { method: 'GET', path: '/slots', dialect: llamaCpp, handler: slots },
];
