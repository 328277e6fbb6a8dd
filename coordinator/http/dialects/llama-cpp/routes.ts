import type { Route } from '../../dialect.ts';
import { applyTemplate, type ParseMessages } from './conversation.ts';
import { llamaCpp } from './dialect.ts';
import { infill } from './infill.ts';
import { props, slots } from './state.ts';
import { detokenize, tokenize } from './tokens.ts';

/** @param parse for the routes that take messages */
export const llamaCppRoutes = (parse: ParseMessages): readonly Route[] => [
  { method: 'POST', path: '/infill', dialect: llamaCpp, handler: infill },
  { method: 'POST', path: '/apply-template', dialect: llamaCpp, handler: (api) => applyTemplate(api, parse) },
  { method: 'POST', path: '/tokenize', dialect: llamaCpp, handler: (api) => tokenize(api, parse) },
  { method: 'POST', path: '/detokenize', dialect: llamaCpp, handler: detokenize },
  { method: 'GET', path: '/props', dialect: llamaCpp, handler: props },
  { method: 'GET', path: '/slots', dialect: llamaCpp, handler: slots },
];
