// What every view imports: markup in template strings, and hooks.

import { h } from "preact";
import htm from "htm";

export const html = htm.bind(h);
export { Fragment, createContext, render } from "preact";
export {
  useCallback, useContext, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "preact/hooks";
