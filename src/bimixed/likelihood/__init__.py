"""Maximum likelihood and REML of the linear mixed model.

Notation, used throughout this folder::

    y = Xβ + Σ_j Z_j b_j + e      e ~ N(0, σ²W⁻¹)      b_j ~ N(0, σ² H_j) for each level of factor j
    H_j = T_j T_j'                T_j lower triangular, K_j × K_j; its free entries are θ
    V = W⁻¹ + Σ_j Z_j H_j Z_j'    covariance of y in units of σ²
    R = [Q e]                     fixed effects and response in the basis of `crossproducts`
    E = Z'V⁻¹R                    B = H E: the best linear predictors of b for the columns of R
    P = H − H Z'V⁻¹Z H            covariance of b given y, β and θ, in units of σ²

Eliminating a factor replaces the cross-products of the others, ZZ_kl = Z_k'WZ_l, by those in the metric
of V with that factor alone: ZZ_kl − ZZ_kj Φ_j ZZ_jl with Φ_j = T_j (T_j'ZZ_jj T_j + I)⁻¹ T_j', which
exists for singular T_j too. (Bates, Mächler, Bolker and Walker 2015 eliminate the same way, in scaled
coordinates.)
"""
