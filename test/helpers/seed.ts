/**
 * Property tests draw the same cases in every run, so that a failure is one of the change at hand; `SEED` draws
 * others: `SEED=$RANDOM npm test`.
 */
import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env['SEED'] ?? 1) });
